//! Switches that explain what a userland may do: the kernel's defaults, or what
//! the column's own settings made of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// By their sysctl names. Some are a distribution's own
/// (kernel.unprivileged_userns_clone: Debian; kernel.apparmor_…: Ubuntu).
const NAMES: [&str; 18] = [
    "abi.vsyscall32",
    "fs.protected_hardlinks",
    "fs.protected_symlinks",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.dmesg_restrict",
    "kernel.io_uring_disabled",
    "kernel.kptr_restrict",
    "kernel.perf_event_paranoid",
    "kernel.pid_max",
    "kernel.randomize_va_space",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "net.ipv4.ip_unprivileged_port_start",
    "user.max_user_namespaces",
    "vm.max_map_count",
    "vm.mmap_min_addr",
    "vm.overcommit_memory",
];

/// Those this kernel has. One that cannot be read is not known, so left out.
pub(super) fn read() -> BTreeMap<String, String> {
    read_below(Path::new("/proc/sys"))
}

fn read_below(root: &Path) -> BTreeMap<String, String> {
    NAMES
        .iter()
        .filter_map(|name| {
            let value = fs::read_to_string(root.join(name.replace('.', "/"))).ok()?;
            Some(((*name).to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_is_read_and_the_rest_is_absent() {
        let root = std::env::temp_dir().join(format!("guest-sysctl-{}", std::process::id()));
        fs::create_dir_all(root.join("kernel/yama")).unwrap();
        fs::write(root.join("kernel/yama/ptrace_scope"), "1\n").unwrap();
        let found = read_below(&root);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("kernel.yama.ptrace_scope".to_owned(), "1".to_owned())]
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
