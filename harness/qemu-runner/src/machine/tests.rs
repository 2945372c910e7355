//! What QEMU is told.

use super::*;

fn machine(disks: Vec<Disk>) -> Machine {
    Machine {
        qemu: Qemu {
            program: "qemu-system-x86_64".into(),
            prefix_arguments: Vec::new(),
            version: "7.2.22".into(),
        },
        acceleration: Acceleration::Tcg,
        cpu: "max".into(),
        memory: 512,
        cpus: 1,
        kernel: "/k/vmlinux".into(),
        initramfs: "/k/initramfs".into(),
        command_line: "quiet console=ttyS0".into(),
        disks,
        slots: 0,
        start: Start::Cold,
        console: "/r/console.log".into(),
    }
}

/// The values of an option, in order.
fn values(machine: &Machine, option: &str) -> Vec<String> {
    let arguments = machine.arguments(7, 8);
    arguments
        .windows(2)
        .filter(|pair| pair[0] == option)
        .map(|pair| pair[1].to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_disk_has_a_place_of_its_own_and_each_slot_starts_with_function_0() {
    let disks = (0..MAX_DISKS)
        .map(|index| Disk {
            path: format!("/images/{index}").into(),
            serial: format!("image-{index}"),
        })
        .collect();
    let mut places: Vec<_> = values(&machine(disks), "-device")
        .into_iter()
        .filter_map(|device| {
            let (_, place) = device.split_once("addr=0x")?;
            let (place, rest) = place.split_once(',').unwrap_or((place, ""));
            let (slot, function) = place.split_once(".0x").unwrap();
            assert_eq!(
                rest.starts_with("multifunction=on"),
                function == "0",
                "{device}"
            );
            let slot = usize::from_str_radix(slot, 16).unwrap();
            assert!((2..32).contains(&slot), "{device}");
            Some((slot, function.parse::<u8>().unwrap()))
        })
        .collect();
    assert_eq!(
        places.len(),
        MAX_DISKS + 2,
        "the channel and the random device"
    );
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), MAX_DISKS + 2);
}

#[test]
fn a_comma_in_a_path_stays_one() {
    let disks = vec![Disk {
        path: "/images/a,readonly=off".into(),
        serial: "x,y".into(),
    }];
    let machine = machine(disks);
    let node = &values(&machine, "-blockdev")[0];
    assert!(
        node.ends_with("file.filename=/images/a,,readonly=off"),
        "{node}"
    );
    assert!(node.contains("read-only=on,"), "{node}");
    let device = values(&machine, "-device").pop().unwrap();
    assert!(device.ends_with("serial=x,,y"), "{device}");
}

#[test]
fn the_most_of_a_cpu_is_spelled_as_the_acceleration_can_show_it() {
    let mut machine = machine(Vec::new());
    assert_eq!(values(&machine, "-cpu"), ["max,-erms,-fsrm"]);
    machine.acceleration = Acceleration::Kvm;
    assert_eq!(values(&machine, "-cpu"), ["host"]);
    machine.cpu = "Haswell".into();
    assert_eq!(values(&machine, "-cpu"), ["Haswell"]);
}

#[test]
fn the_channel_is_the_inherited_descriptor() {
    let machine = machine(Vec::new());
    assert!(values(&machine, "-chardev").contains(&"socket,id=channel,fd=7".to_owned()));
    assert_eq!(values(&machine, "-append"), ["quiet console=ttyS0"]);
}

#[test]
fn a_version_is_read_and_anything_else_is_none() {
    assert_eq!(
        parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright"),
        Some("7.2.22")
    );
    assert_eq!(
        parse_version("QEMU emulator version 10.0.0\n"),
        Some("10.0.0")
    );
    assert_eq!(parse_version("qemu-img version 7.2"), None);
    let error = Qemu::installed(Path::new("false")).unwrap_err();
    assert!(matches!(error, QemuError::NoVersion { .. }), "{error:?}");
    let error = Qemu::installed(Path::new("/no/qemu")).unwrap_err();
    assert!(matches!(error, QemuError::Start { .. }), "{error:?}");
}
