//! Which static C library this machine has for the programs in the guest, and what
//! to say where it has none.

use std::path::Path;
use std::process::Command;

/// Why nothing can be said of this machine's C library.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoCompiler {
    /// It could not be started.
    Missing {
        /// What was to be started.
        compiler: String,
        /// The system's word.
        reason: String,
    },
    /// It does not answer as gcc and clang do.
    Failed {
        /// What was started.
        compiler: String,
        /// What it said.
        stderr: String,
    },
}

/// Whether the C compiler finds a static C library: it prints the path of libc.a
/// when there is one, and the bare name when not.
pub(crate) fn has_static_libc(compiler: &str) -> Result<bool, NoCompiler> {
    let output = Command::new(compiler)
        .arg("-print-file-name=libc.a")
        .output()
        .map_err(|error| NoCompiler::Missing {
            compiler: compiler.to_owned(),
            reason: error.to_string(),
        })?;
    if !output.status.success() {
        return Err(NoCompiler::Failed {
            compiler: compiler.to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Path::new(&path).is_absolute() && Path::new(&path).is_file())
}

/// A family of distributions, and how it is told to install something.
const FAMILIES: [Family; 5] = [
    Family {
        ids: &["debian", "ubuntu"],
        name: "Debian and Ubuntu",
        compiler: "apt install gcc libc6-dev",
        libc: "apt install libc6-dev",
    },
    Family {
        ids: &["fedora", "rhel", "centos"],
        name: "Fedora and RHEL",
        compiler: "dnf install gcc glibc-static",
        libc: "dnf install glibc-static",
    },
    Family {
        ids: &["alpine"],
        name: "Alpine",
        compiler: "apk add gcc musl-dev",
        libc: "apk add musl-dev",
    },
    Family {
        ids: &["arch"],
        name: "Arch",
        compiler: "pacman -S gcc",
        libc: "pacman -S glibc",
    },
    Family {
        ids: &["suse", "opensuse"],
        name: "SUSE",
        compiler: "zypper install gcc glibc-devel-static",
        libc: "zypper install glibc-devel-static",
    },
];

struct Family {
    /// As os-release has them.
    ids: &'static [&'static str],
    name: &'static str,
    compiler: &'static str,
    libc: &'static str,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The C compiler, and then most likely the library.
    Compiler,
    /// The static C library alone.
    Libc,
}

/// How to install what is missing: on the distribution that this os-release is of,
/// or on each, where it is of none of these.
pub(crate) fn hint(missing: Missing, os_release: &str) -> String {
    let command = |family: &Family| match missing {
        Missing::Compiler => family.compiler,
        Missing::Libc => family.libc,
    };
    let ids: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| matches!(*name, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches(['"', '\'']).split(' '))
        .collect();
    let own = FAMILIES
        .iter()
        .find(|family| family.ids.iter().any(|id| ids.contains(id)));
    match own {
        Some(family) => format!("hint: {}", command(family)),
        None => {
            let all: Vec<String> = FAMILIES
                .iter()
                .map(|family| format!("{}: {}", family.name, command(family)))
                .collect();
            format!("hint: {}", all.join("; "))
        }
    }
}

/// What is said where the library is missing.
pub(crate) fn no_static_libc(os_release: &str) -> String {
    format!(
        "the programs that run inside the virtual machine are static, and this machine has no \
         static C library (libc.a).\n{}, or `rustup target add x86_64-unknown-linux-musl`",
        hint(Missing::Libc, os_release)
    )
}

/// What is said where the compiler is missing or strange.
pub(crate) fn no_compiler(fault: &NoCompiler, os_release: &str) -> String {
    match fault {
        NoCompiler::Missing { compiler, reason } => format!(
            "failed to run the C compiler `{compiler}`: {reason}\n{}; or CC names another",
            hint(Missing::Compiler, os_release)
        ),
        NoCompiler::Failed { compiler, stderr } => {
            format!("`{compiler} -print-file-name=libc.a` failed: {stderr}")
        }
    }
}
