//! Builds the programs that run inside the virtual machine and hands their
//! paths to `programs.rs`, which embeds them.
//!
//! They are built by a cargo of their own: another profile, other flags (a
//! static C library, no relocations), another target folder. That folder lies
//! beside the profiles' own, so that a debug build, a release build and clippy
//! share one result.

#[path = "build/static_libc.rs"]
mod static_libc;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Everything the nested build reads; a change elsewhere does not repeat it.
const INPUTS: [&str; 5] = [
    "harness/guest",
    "harness/runtime",
    "harness/wire",
    "Cargo.toml",
    "Cargo.lock",
];

/// (name in the guest package's or runtime package's output, variable).
const PROGRAMS: [(&str, &str); 4] = [
    ("guest", "MATRIX_GUEST"),
    ("runtime", "MATRIX_RUNTIME"),
    ("vsyscall", "MATRIX_VSYSCALL"),
    ("probe-inside", "MATRIX_PROBE_INSIDE"),
];

const GNU: &str = "x86_64-unknown-linux-gnu";
const MUSL: &str = "x86_64-unknown-linux-musl";

fn main() {
    let workspace = workspace_root();
    for input in INPUTS {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!("cargo::rerun-if-env-changed=MATRIX_GUEST_TARGET");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rustc-env=MATRIX_VERSION={}", version(&workspace));

    let target = guest_target();
    let target_dir = target_dir();
    build(&workspace, &target, &target_dir);
    let folder = target_dir.join(&target).join("guest");
    for (name, variable) in PROGRAMS {
        let program = folder.join(name);
        if !program.is_file() {
            fail(&format!(
                "the build of the guest's programs left no {}",
                program.display()
            ));
        }
        // Content decides, not the shared folder's path: copied, so that a later
        // build of another checkout state cannot change what this one embeds.
        let copy = PathBuf::from(variable_of_cargo("OUT_DIR")).join(name);
        if let Err(error) = std::fs::copy(&program, &copy) {
            fail(&format!("failed to copy {}: {error}", program.display()));
        }
        println!("cargo::rustc-env={variable}={}", copy.display());
        println!("cargo::rustc-env={variable}_IDENTITY={}", identity(&copy));
    }
}

/// What a program is known by, worked out here and not at every start: different
/// contents have different ones, unless by an accident in 2^128.
fn identity(program: &Path) -> String {
    use std::hash::{DefaultHasher, Hasher};
    let content = match std::fs::read(program) {
        Ok(content) => content,
        Err(error) => fail(&format!("failed to read {}: {error}", program.display())),
    };
    [0_u8, 1]
        .map(|salt| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher.write(&content);
            format!("{:016x}", hasher.finish())
        })
        .concat()
}

/// The C library the guest's programs are linked with: glibc where its static
/// archive is installed, musl where that target is.
fn guest_target() -> String {
    if let Ok(target) = env::var("MATRIX_GUEST_TARGET") {
        return target;
    }
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let host = variable_of_cargo("HOST");
    // Which distribution this is only chooses the words.
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    match static_libc::has_static_libc(&compiler) {
        // On Alpine the machine's own C library is musl.
        Ok(true) if host.ends_with("-musl") => host,
        Ok(true) => GNU.to_owned(),
        // It links by itself, without a C library of the machine's.
        Ok(false) if has_rust_target(MUSL) => MUSL.to_owned(),
        Ok(false) => fail(&static_libc::no_static_libc(&os_release)),
        Err(fault) => fail(&static_libc::no_compiler(&fault, &os_release)),
    }
}

fn has_rust_target(target: &str) -> bool {
    let output = Command::new(variable_of_cargo("RUSTC"))
        .args(["--print", "sysroot"])
        .output();
    let Ok(output) = output else { return false };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    sysroot.join("lib/rustlib").join(target).is_dir()
}

fn build(workspace: &Path, target: &str, target_dir: &Path) {
    let mut cargo = Command::new(variable_of_cargo("CARGO"));
    cargo
        .current_dir(workspace)
        .args(["build", "--locked", "--profile", "guest"])
        .args(["--package", "guest", "--package", "runtime", "--bins"])
        .args(["--target", target])
        .arg("--target-dir")
        .arg(target_dir)
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C relocation-model=static",
        );
    // What the outer cargo, or clippy, set for itself would change the inner build.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let inherited = text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_PKG_");
        if inherited {
            cargo.env_remove(&name);
        }
    }
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "OPT_LEVEL",
        "DEBUG",
        "PROFILE",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
    ] {
        cargo.env_remove(name);
    }
    let output = match cargo.output() {
        Ok(output) => output,
        Err(error) => fail(&format!("failed to run {cargo:?}: {error}")),
    };
    if !output.status.success() {
        fail(&format!(
            "failed to build the guest's programs:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
}

/// OUT_DIR is `TARGET/[TRIPLE/]PROFILE/build/matrix-HASH/out`.
fn target_dir() -> PathBuf {
    let out = PathBuf::from(variable_of_cargo("OUT_DIR"));
    let build = out.ancestors().find(|path| path.ends_with("build"));
    match build.and_then(Path::parent).and_then(Path::parent) {
        Some(folder) => folder.join("guest-programs"),
        None => out.join("guest-programs"),
    }
}

fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(variable_of_cargo("CARGO_MANIFEST_DIR"));
    match manifest.ancestors().nth(2) {
        Some(root) => root.to_owned(),
        None => fail(&format!("{} is not two folders deep", manifest.display())),
    }
}

/// The version, with the commit this is built from: `0.1.0 (8c1fa087d6e2)`. A
/// source archive has no commit, which is no error.
fn version(workspace: &Path) -> String {
    let version = variable_of_cargo("CARGO_PKG_VERSION");
    match commit(workspace) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    }
}

fn commit(workspace: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(workspace)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(text)
    };
    // An unpacked archive can lie in someone else's repository.
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != workspace.canonicalize().ok()? {
        return None;
    }
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(head).display());
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn variable_of_cargo(name: &str) -> String {
    match env::var(name) {
        Ok(value) => value,
        Err(_) => fail(&format!("cargo did not set {name}")),
    }
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    exit(1);
}
