//! pivot_root where the machine's root is its initial root file system, which
//! has no parent: what PID 1 of an initramfs finds.

use std::path::{Path, PathBuf};
use std::process::Command;

use runtime::fallback::Fallback;
use runtime::status::Status;

use crate::kernel::Kernel;
use crate::rig::{Rig, skip};

/// Where the probe puts the machine's own tree.
fn in_tree(path: &Path) -> PathBuf {
    Path::new("/tree").join(path.strip_prefix("/").unwrap())
}

#[test]
fn the_root_is_pivoted_to_all_the_same() {
    let Some(rig) = Rig::new(Kernel::This) else {
        return;
    };
    // The tests' build of the runtime is dynamic, and nothing it needs is where
    // it looks for it there.
    let Ok(loader) = Path::new("/lib64/ld-linux-x86-64.so.2").canonicalize() else {
        return skip("no glibc loader to start the runtime by");
    };
    let libraries = loader.parent().unwrap();
    std::fs::write(
        rig.outside("config.json"),
        rig.config(&["probe", "report"]).to_string(),
    )
    .unwrap();
    let mut command = Command::new(rig.inside("bin/probe"));
    command
        .arg("initial-root")
        .arg(in_tree(&loader))
        .arg("--library-path")
        .arg(in_tree(libraries))
        .arg(in_tree(Path::new(env!("CARGO_BIN_EXE_runtime"))))
        .args(["run", "--bundle"])
        .arg(in_tree(&rig.outside("")));
    let running = rig.start_command(command);
    let output = running.finish_or_code();
    let outcome = match output {
        Ok(outcome) => outcome,
        // 91 to 95: the initial root could not be had, so nothing was tried.
        Err(code @ 91..=95) => return skip(&format!("no way to the initial root: step {code}")),
        Err(code) => panic!("{code}"),
    };
    assert_eq!(
        outcome.line.status,
        Status::Exited { code: 0 },
        "{outcome:?}"
    );
    // From Linux 7 on even the initial root has a parent.
    if !outcome.line.fallbacks.contains(&Fallback::InitialRoot) {
        return skip("pivot_root takes this kernel's initial root as it is");
    }
    assert_eq!(outcome.value("pid "), ["1"]);
    assert_eq!(outcome.value("cwd"), ["/"]);
}
