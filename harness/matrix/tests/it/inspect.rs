//! Images read without running them.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};

use plan::ImageSource;
use supply::{Contents, ContentsError, Place};

use crate::project::Project;

/// A program that is nothing but a header and the loader it names.
pub(crate) fn with_interpreter(interpreter: &str) -> Vec<u8> {
    let name = [interpreter.as_bytes(), &[0]].concat();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    let (head, entry) = (64_u64, 56_u64);
    for word in [0x40_0000, head, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let offset = head + 2 * entry;
    // PT_INTERP, then a PT_LOAD of the whole file, readable and executable.
    for (kind, flags, start, length) in [
        (3_u32, 4_u32, offset, name.len() as u64),
        (1, 5, 0, offset + name.len() as u64),
    ] {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [
            start,
            0x40_0000 + start,
            0x40_0000 + start,
            length,
            length,
            4096,
        ] {
            file.extend(word.to_le_bytes());
        }
    }
    file.extend(name);
    file
}

#[test]
fn what_was_put_into_an_image_is_read_from_its_disk() {
    let project = Project::new();
    let big: Vec<u8> = (0..3_000_001_u32).map(|at| (at / 7) as u8).collect();
    project.file("root/a/big", &big);
    project.file("root/a/exact", vec![7; 2 << 17]);
    project.file("root/a/zeroes", vec![0; 1 << 20]);
    project.file("root/a/empty", "");
    let small = project.file("root/bin/small", "#!/bin/sh\n");
    fs_err::set_permissions(&small, PermissionsExt::from_mode(0o755)).unwrap();
    for number in 0..700 {
        project.file(&format!("root/many/file-{number}"), format!("{number}"));
    }
    symlink("/bin/small", project.root().join("root/a/absolute")).unwrap();
    symlink("../../../bin", project.root().join("root/a/up")).unwrap();
    symlink("round", project.root().join("root/a/round")).unwrap();
    let source = ImageSource::Directory(project.root().join("root"));
    let disk = crate::causes::supply()
        .image(&[source], &BTreeMap::new())
        .unwrap();

    let files = Contents::open(&disk.path).unwrap();
    for (path, bytes) in [
        ("/a/big", big),
        ("/a/exact", vec![7; 2 << 17]),
        ("/a/zeroes", vec![0; 1 << 20]),
        ("/a/empty", Vec::new()),
        ("/bin/small", b"#!/bin/sh\n".to_vec()),
    ] {
        assert!(files.read(path).unwrap() == bytes, "{path}");
        assert_eq!(files.length(path), Some(bytes.len() as u64));
    }
    for number in 0..700 {
        let path = format!("/many/file-{number}");
        assert_eq!(files.read(&path).unwrap(), number.to_string().into_bytes());
    }
    for path in ["/a/absolute", "/a/up/small", "bin/../bin/./small"] {
        let Place::File { path, mode } = files.find(path) else {
            panic!("{path} is no file")
        };
        assert_eq!((path.as_str(), mode), ("/bin/small", 0o755));
    }
    assert_eq!(files.find("/a"), Place::Other);
    for path in ["/gone", "/a/round", "/bin/small/x"] {
        assert_eq!(files.find(path), Place::Missing, "{path}");
    }
    assert!(matches!(
        files.read("/gone"),
        Err(ContentsError::Missing(_))
    ));
    assert_eq!(files.files().count(), 705);

    // A disk that is cut off, and one that is none, say so and do not break.
    let whole = fs_err::read(&disk.path).unwrap();
    let cut = project.file("cut", &whole[..whole.len() / 2]);
    assert!(Contents::open(&cut).is_err());
    let none = project.file("none", vec![0; 4096]);
    let error = Contents::open(&none).unwrap_err().to_string();
    assert!(error.contains("not an image"), "{error}");
}

#[test]
fn an_image_says_what_it_needs_and_what_is_expected_of_it() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.debian("[[check]]\nname = \"bash\"\ncommand = [\"bash\", \"-c\", \"true\"]\n");

    let output = project.matrix(&["inspect", "vsyscall"]);
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "addresses of the page are in /vsyscall (gettimeofday, time, getcpu)",
        "6.1+vsyscall=emulate",
        "pass: time, gettimeofday, getcpu, read",
        "the entry alone: it was never run",
    ] {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
    let run = project.run(0, &["--kernels", "6.1"]);
    // Now that the kernels were seen, more is known of them.
    let output = project.matrix(&["inspect", "vsyscall", "debian:12", "--kernels", "6.1"]);
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "vsyscall-none: time, gettimeofday, getcpu, read",
        "glibc 2.36 for x86-64",
        "dpkg: ",
        "no file has an address of the page in its code",
        &format!("seen in run {}", run.run.id),
    ] {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
    let output = project.matrix(&["inspect", "--against", "newest"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("5 cells, 1 kernels × 2 images"), "{table}");
    assert!(
        table.contains("5 of 5 cells pass or fail as expected"),
        "{table}"
    );
}
