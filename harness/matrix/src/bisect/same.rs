//! Whether a recorded cell is of what the project has now: under one name a kernel can
//! be built or started anew, and a check demand another thing.

use plan::{Check, Checksum, Kernel, KernelSource};
use qemu_runner::Acceleration;
use report::{CheckRow, KernelColumn, SeccompProfile};
use verdict::Outcome;

use crate::run::column;

/// The column is of this kernel, started as it would be now.
pub(super) fn kernel(now: &Kernel, recorded: &KernelColumn) -> bool {
    now.sources.iter().any(|source| is_of(source, recorded))
        && recorded.settings == column(now).settings
        && is_started_so(now, recorded)
}

/// What the source gives is what it gave then, or told from it by the version that is
/// recorded. A file or a build tree of this machine can be another at any time.
fn is_of(source: &KernelSource, recorded: &KernelColumn) -> bool {
    let package = &recorded.package;
    match source {
        KernelSource::Apt(_) | KernelSource::Rpm(_) => {
            package.contains_key("version") && !package.contains_key("path")
        }
        KernelSource::Download(download) => match &download.checksum {
            Checksum::Sha256(sha256) => package.get("sha256") == Some(sha256),
            Checksum::File(_) => false,
        },
        KernelSource::Oci(oci) => {
            let digest = oci.reference.digest.as_ref();
            digest.is_some() && package.get("digest") == digest
        }
        KernelSource::Path { .. } | KernelSource::Archive(_) => false,
        KernelSource::Locked { source, .. } => is_of(source, recorded),
    }
}

/// Behind the words that every kernel is started with are the entry's, and no others.
fn is_started_so(now: &Kernel, recorded: &KernelColumn) -> bool {
    let Some(line) = &recorded.command_line else {
        return false;
    };
    let line: Vec<&str> = line.split_whitespace().collect();
    // Not every image of a kernel says its release before it is started.
    let releases = [recorded.release.as_deref(), None];
    releases.iter().any(|release| {
        [Acceleration::Kvm, Acceleration::Tcg].iter().any(|way| {
            let base = qemu_runner::base_command_line(*way, *release, now.settings.cpus);
            let added = now.settings.command_line.iter().map(String::as_str);
            let wanted = std::iter::once(&*base).chain(added);
            line.iter()
                .copied()
                .eq(wanted.flat_map(str::split_whitespace))
        })
    })
}

/// The cell was held against what the check demands now.
pub(super) fn check(now: &Check, recorded: &CheckRow, outcome: &Outcome) -> bool {
    recorded.command == now.command
        && recorded.stdout == now.stdout
        && recorded.children == now.children
        && recorded.seccomp == SeccompProfile::from(now.seccomp)
        && recorded.capabilities == report::added_names(&now.capabilities)
        && recorded.entrypoint == now.entrypoint
        // Records of old have no pattern, whether there was one or not; what passed with
        // one passes without.
        && !(now.stdout.is_none() && matches!(outcome, Outcome::Mismatch { .. }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use verdict::judge::Children;
    use verdict::{AddedCapabilities, Capability};

    use super::*;

    fn rpm() -> KernelSource {
        KernelSource::Rpm(plan::RpmSource {
            base: "https://example.org".to_owned(),
            package: "kernel".to_owned(),
            version: None,
            key: None,
            allow_expired: false,
        })
    }

    fn download(checksum: Checksum) -> KernelSource {
        KernelSource::Download(plan::DownloadSource {
            url: "https://example.org/k.tar".to_owned(),
            checksum,
        })
    }

    fn path() -> KernelSource {
        KernelSource::Path {
            kernel: "/src/linux".into(),
            modules: None,
        }
    }

    fn entry(source: KernelSource) -> Kernel {
        Kernel {
            id: "k".to_owned(),
            version: None,
            sources: vec![source],
            settings: plan::Settings {
                command_line: vec!["vsyscall=emulate".to_owned()],
                cpu: "max".to_owned(),
                memory: 1024,
                cpus: 1,
                cgroup: plan::Cgroup::V2,
                sysctl: BTreeMap::new(),
            },
            optional: false,
            notes: None,
        }
    }

    fn ran(kernel: &Kernel, package: &[(&str, &str)]) -> KernelColumn {
        let release = "5.14.0-503.el9.x86_64";
        let base = qemu_runner::base_command_line(Acceleration::Tcg, Some(release), 1);
        KernelColumn {
            release: Some(release.to_owned()),
            package: package
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            command_line: Some(format!("{base} vsyscall=emulate\n")),
            ..column(kernel)
        }
    }

    #[test]
    fn what_can_be_another_under_its_name_is_not_taken_for_the_same() {
        let version = ("version", "5.14.0-503.el9");
        let sha256 = ("sha256", "aa");
        let of_file = Checksum::File("https://example.org/SHA256SUMS".to_owned());
        type Case<'a> = (KernelSource, &'a [(&'a str, &'a str)], bool);
        let cases: [Case<'_>; 9] = [
            (rpm(), &[version, sha256], true),
            (rpm(), &[sha256], false),
            // The entry was a package's file before.
            (rpm(), &[version, ("path", "/k.rpm")], false),
            (download(Checksum::Sha256("aa".to_owned())), &[sha256], true),
            (
                download(Checksum::Sha256("bb".to_owned())),
                &[sha256],
                false,
            ),
            (download(of_file), &[sha256], false),
            (path(), &[("path", "/src/linux")], false),
            (path(), &[("path", "/k.rpm"), version, sha256], false),
            (path(), &[], false),
        ];
        for (source, package, same) in cases {
            let entry = entry(source);
            assert_eq!(
                kernel(&entry, &ran(&entry, package)),
                same,
                "{entry:?} {package:?}"
            );
        }
    }

    #[test]
    fn one_that_is_started_otherwise_is_another() {
        let then = entry(rpm());
        let recorded = ran(&then, &[("version", "5.14.0-503.el9")]);
        assert!(kernel(&then, &recorded));
        let changes: [fn(&mut plan::Settings); 8] = [
            |settings| settings.command_line.clear(),
            |settings| settings.command_line = vec!["vsyscall=none".to_owned()],
            |settings| settings.command_line.push("nosmap".to_owned()),
            |settings| settings.command_line = vec!["emulate".to_owned()],
            |settings| settings.cpu = "qemu64".to_owned(),
            |settings| settings.memory = 512,
            |settings| settings.cgroup = plan::Cgroup::V1,
            |settings| {
                let name = "vm.overcommit_memory".to_owned();
                settings.sysctl.insert(name, "2".to_owned());
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut now = then.clone();
            change(&mut now.settings);
            assert!(!kernel(&now, &recorded), "{number}");
        }
        let never = KernelColumn {
            command_line: None,
            ..recorded
        };
        assert!(!kernel(&then, &never));
    }

    #[test]
    fn a_check_is_its_command_its_pattern_and_its_profile() {
        let now = Check {
            name: "c".to_owned(),
            command: vec!["c".to_owned()],
            stdout: Some("^1".to_owned()),
            children: Children::Noticed,
            timeout: None,
            entrypoint: false,
            seccomp: verdict::Seccomp::None,
            capabilities: AddedCapabilities::default(),
        };
        let row = CheckRow {
            name: "c".to_owned(),
            command: vec!["c".to_owned()],
            stdout: Some("^1".to_owned()),
            ..CheckRow::default()
        };
        let mismatch = Outcome::Mismatch {
            detail: "stdout does not match".to_owned(),
        };
        assert!(check(&now, &row, &Outcome::Pass));
        assert!(check(&now, &row, &mismatch));
        let of_old = CheckRow {
            stdout: None,
            ..row.clone()
        };
        assert!(!check(&now, &of_old, &Outcome::Pass));
        let without = Check {
            stdout: None,
            ..now.clone()
        };
        assert!(!check(&without, &row, &Outcome::Pass));
        assert!(check(&without, &of_old, &Outcome::Pass));
        assert!(!check(&without, &of_old, &mismatch));
        let other = Check {
            command: vec!["d".to_owned()],
            ..now.clone()
        };
        assert!(!check(&other, &row, &Outcome::Pass));
        let admin = Capability::named("SYS_ADMIN").unwrap();
        let freer = Check {
            capabilities: AddedCapabilities::Named(vec![admin]),
            ..now.clone()
        };
        assert!(!check(&freer, &row, &Outcome::Pass));
        let row_of_it = CheckRow {
            capabilities: vec!["SYS_ADMIN".to_owned()],
            ..row.clone()
        };
        assert!(check(&freer, &row_of_it, &Outcome::Pass));
        assert!(!check(&now, &row_of_it, &Outcome::Pass));
        let stricter = Check {
            children: Children::Fail,
            ..now
        };
        assert!(!check(&stricter, &row, &Outcome::Pass));
    }
}
