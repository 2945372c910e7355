//! What a kernel must have for a guest to come up, told before it is started: from
//! its configuration and its modules.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::{ModulePlan, ModulesError, modules};

/// A kernel's .config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration(BTreeMap<String, String>);

impl Configuration {
    /// `CONFIG_X=y`, one a line. What is not set is not listed, or in a comment.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.trim().strip_prefix("CONFIG_")?.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
                .collect(),
        )
    }

    /// As [`Configuration::parse`] reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("CONFIG_{name}={value}\n"))
            .collect()
    }

    /// What a kernel built with CONFIG_IKCONFIG carries within itself, the same that
    /// /proc/config.gz shows: `kernel` is uncompressed. None where there is none.
    #[must_use]
    pub fn embedded(kernel: &[u8]) -> Option<Self> {
        // Before and behind the gzip stream, from kernel/configs.c.
        const START: &[u8] = b"IKCFG_ST";
        const END: &[u8] = b"IKCFG_ED";
        let find = |bytes: &[u8], marker: &[u8]| {
            bytes
                .windows(marker.len())
                .position(|window| window == marker)
        };
        let rest = &kernel[find(kernel, START)? + START.len()..];
        // A program that looks for the marker has it too: the one that counts is
        // followed by gzip's magic.
        if !rest.starts_with(&[0x1f, 0x8b]) {
            return Self::embedded(rest);
        }
        let packed = &rest[..find(rest, END)?];
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .take(LARGEST)
            .read_to_end(&mut text)
            .ok()?;
        let configuration = Self::parse(&String::from_utf8_lossy(&text));
        (!configuration.is_empty()).then_some(configuration)
    }

    /// What can be told without any configuration, from a kernel's folder of modules
    /// and its list of what is built in: of the options that explain results those
    /// that make one module. Empty where the folder has no such list.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn of_modules(directory: &Path) -> Result<BTreeMap<String, String>, ModulesError> {
        const ONE_MODULE: [(&str, &str); 6] = [
            ("BINFMT_MISC", "binfmt_misc"),
            ("IP_NF_IPTABLES", "ip_tables"),
            ("IP_NF_NAT", "iptable_nat"),
            ("NF_TABLES", "nf_tables"),
            ("OVERLAY_FS", "overlay"),
            ("SQUASHFS", "squashfs"),
        ];
        let found = modules::presence(directory, &ONE_MODULE.map(|(_, module)| module))?;
        Ok(ONE_MODULE
            .iter()
            .zip(found)
            .filter_map(|((option, _), presence)| {
                Some(((*option).to_owned(), presence?.to_owned()))
            })
            .collect())
    }

    /// The value of an option named without `CONFIG_`; none where it is not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The options that explain what a userland meets, without `CONFIG_`; `n` where
    /// one is not set. A kernel older than an option has it as `n` too: the option
    /// tells what there is, the version why. Empty for what is no configuration.
    #[must_use]
    pub fn telling(&self) -> BTreeMap<String, String> {
        if self.is_empty() {
            return BTreeMap::new();
        }
        TELLING
            .iter()
            .map(|name| {
                let value = self.get(name).unwrap_or("n");
                ((*name).to_owned(), value.to_owned())
            })
            .collect()
    }

    /// It has no option: not a kernel's configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// No configuration is larger, bytes.
const LARGEST: u64 = 4 << 20;

/// See [`Configuration::telling`]. From 6.17 on IP_NF_IPTABLES_LEGACY makes what
/// IP_NF_IPTABLES made before.
const TELLING: [&str; 37] = [
    "AIO",
    "BINFMT_MISC",
    "BPF_SYSCALL",
    "BPF_UNPRIV_DEFAULT_OFF",
    "CGROUP_BPF",
    "CGROUP_PIDS",
    "CHECKPOINT_RESTORE",
    "COMPAT_32BIT_TIME",
    "DEVTMPFS",
    "HZ",
    "IA32_EMULATION",
    "IO_URING",
    "IP_NF_IPTABLES",
    "IP_NF_IPTABLES_LEGACY",
    "IP_NF_NAT",
    "KEYS",
    "LEGACY_VSYSCALL_NONE",
    "LEGACY_VSYSCALL_XONLY",
    "LSM",
    "MEMCG",
    "MEMCG_V1",
    "MODIFY_LDT_SYSCALL",
    "NF_TABLES",
    "OVERLAY_FS",
    "POSIX_MQUEUE",
    "PREEMPT_RT",
    "SECCOMP_FILTER",
    "SECURITY_APPARMOR",
    "SECURITY_LANDLOCK",
    "SECURITY_SELINUX",
    "SQUASHFS_ZSTD",
    "SYSVIPC",
    "TIME_NS",
    "USERFAULTFD",
    "USER_NS",
    "X86_VSYSCALL_EMULATION",
    "X86_X32_ABI",
];

/// Modules without which there is no guest, with the option that makes each; of
/// the others the guest makes do without.
const MODULES: [(&str, &str); 4] = [
    ("virtio_pci", "VIRTIO_PCI"),
    ("virtio_blk", "VIRTIO_BLK"),
    ("virtio_console", "VIRTIO_CONSOLE"),
    ("squashfs", "SQUASHFS"),
];

/// What is only ever built in, and what is not there without it.
const BUILT_IN: [(&str, &str); 8] = [
    ("64BIT", "64-bit programs"),
    ("BINFMT_ELF", "ELF programs"),
    ("BLK_DEV_INITRD", "initramfs"),
    ("PCI", "PCI devices"),
    ("PROC_FS", "/proc"),
    ("SYSFS", "/sys"),
    ("SQUASHFS_ZLIB", "zlib in squashfs, whose images name it"),
    ("TMPFS", "tmpfs"),
];

/// What the guest needs at the least and this kernel lacks, a line each:
/// `no virtio_blk: CONFIG_VIRTIO_BLK is not set`. Empty where nothing is known to
/// be missing; what only the running kernel can tell, the guest says.
#[must_use]
pub fn missing(plan: &ModulePlan, configuration: Option<&Configuration>) -> Vec<String> {
    let configuration = configuration.filter(|configuration| !configuration.is_empty());
    let mut missing = Vec::new();
    for (module, option) in MODULES {
        let loaded = plan.modules.iter().any(|found| found.name == module);
        let set = configuration.map(|configuration| configuration.get(option));
        let lacking = plan.missing.iter().any(|name| name == module);
        let reason = match set {
            Some(None) if !loaded => format!("CONFIG_{option} is not set"),
            Some(Some("m")) if !loaded => {
                format!("CONFIG_{option} is m, and there is no such module")
            }
            None if lacking => {
                format!("neither built in nor a module, CONFIG_{option} is not set")
            }
            _ => continue,
        };
        missing.push(format!("no {module}: {reason}"));
    }
    // Dependencies of those that are there. A soft one is never listed.
    for name in &plan.missing {
        let optional = ["overlay", "virtio_rng"].contains(&name.as_str());
        if !optional && !MODULES.iter().any(|(module, _)| module == name) {
            missing.push(format!(
                "no {name}: a module depends on it, and it is neither built in nor a module"
            ));
        }
    }
    if let Some(configuration) = configuration {
        for (option, what) in BUILT_IN {
            if configuration.get(option) != Some("y") {
                missing.push(format!("no {what}: CONFIG_{option} is not set"));
            }
        }
        if !plan.modules.is_empty() && configuration.get("MODULES") != Some("y") {
            missing.push("no modules: CONFIG_MODULES is not set".to_owned());
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Module;

    const WHOLE: &str = "# Automatically generated\nCONFIG_64BIT=y\nCONFIG_BINFMT_ELF=y\n\
        CONFIG_BLK_DEV_INITRD=y\nCONFIG_PCI=y\nCONFIG_PROC_FS=y\nCONFIG_SYSFS=y\n\
        CONFIG_SQUASHFS_ZLIB=y\nCONFIG_TMPFS=y\nCONFIG_MODULES=y\nCONFIG_VIRTIO_PCI=y\n\
        CONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_CONSOLE=y\nCONFIG_SQUASHFS=y\n\
        # CONFIG_OVERLAY_FS is not set\nCONFIG_DEFAULT_HOSTNAME=\"(none)\"\n";

    fn plan(modules: &[&str], missing: &[&str]) -> ModulePlan {
        ModulePlan {
            modules: modules
                .iter()
                .map(|name| Module {
                    name: (*name).to_owned(),
                    source: "/x".into(),
                    content: Vec::new(),
                })
                .collect(),
            built_in: Vec::new(),
            missing: missing.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn with(text: &str, modules: &[&str], absent: &[&str]) -> Vec<String> {
        missing(&plan(modules, absent), Some(&Configuration::parse(text)))
    }

    #[test]
    fn a_kernel_that_has_all_lacks_nothing() {
        assert!(with(WHOLE, &["virtio_blk"], &["overlay", "virtio_rng"]).is_empty());
        assert!(missing(&plan(&[], &[]), None).is_empty());
    }

    #[test]
    fn what_is_not_set_is_named_with_its_option() {
        let text = WHOLE.replace("CONFIG_VIRTIO_BLK=m", "# CONFIG_VIRTIO_BLK is not set");
        assert_eq!(
            with(&text, &[], &["virtio_blk"]),
            ["no virtio_blk: CONFIG_VIRTIO_BLK is not set"]
        );
        // A bare bzImage: no folder of modules, so nothing is known to be missing
        // but by the configuration.
        assert_eq!(
            with(WHOLE, &[], &[]),
            ["no virtio_blk: CONFIG_VIRTIO_BLK is m, and there is no such module"]
        );
        let text = WHOLE
            .replace("CONFIG_TMPFS=y", "")
            .replace("CONFIG_MODULES=y", "");
        assert_eq!(
            with(&text, &["virtio_blk"], &[]),
            [
                "no tmpfs: CONFIG_TMPFS is not set",
                "no modules: CONFIG_MODULES is not set"
            ]
        );
    }

    #[test]
    fn without_a_configuration_the_modules_tell() {
        assert_eq!(
            missing(
                &plan(&["virtio_pci"], &["virtio_blk", "virtio_ring", "overlay"]),
                None
            ),
            [
                "no virtio_blk: neither built in nor a module, CONFIG_VIRTIO_BLK is not set",
                "no virtio_ring: a module depends on it, and it is neither built in nor a module"
            ]
        );
    }

    #[test]
    fn what_is_not_set_is_n() {
        let telling = Configuration::parse("CONFIG_USER_NS=y\n# CONFIG_TIME_NS is not set\n");
        let telling = telling.telling();
        assert_eq!((&*telling["USER_NS"], &*telling["TIME_NS"]), ("y", "n"));
    }

    #[test]
    fn a_kernel_carries_its_configuration_where_it_was_built_to() {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(WHOLE.as_bytes(), flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        let kernel = [
            b"\x7fELF...IKCFG_ST, a string of a program".as_slice(),
            b"IKCFG_ST",
            &packed,
            b"IKCFG_ED and more",
        ]
        .concat();
        assert_eq!(
            Configuration::embedded(&kernel),
            Some(Configuration::parse(WHOLE))
        );
        assert_eq!(Configuration::embedded(b"IKCFG_ST"), None);
        assert_eq!(Configuration::embedded(b"IKCFG_ST\x1f\x8b cut"), None);
        let broken = [b"IKCFG_ST".as_slice(), &packed[..20], b"IKCFG_ED"].concat();
        assert_eq!(Configuration::embedded(&broken), None);
    }

    #[test]
    fn modules_tell_what_a_configuration_would() {
        let folder = tempfile::tempdir().unwrap();
        let net = folder.path().join("kernel/net/netfilter");
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("nf_tables.ko.xz"), "").unwrap();
        // Without a list of what is built in, what is no file is not known.
        let told = Configuration::of_modules(folder.path()).unwrap();
        assert_eq!(told.get("NF_TABLES").map(String::as_str), Some("m"));
        assert_eq!(told.len(), 1);
        std::fs::write(
            folder.path().join("modules.builtin"),
            "kernel/fs/overlayfs/overlay.ko\n",
        )
        .unwrap();
        let told = Configuration::of_modules(folder.path()).unwrap();
        assert_eq!((&*told["OVERLAY_FS"], &*told["IP_NF_IPTABLES"]), ("y", "n"));
    }

    #[test]
    fn an_empty_configuration_says_nothing() {
        assert!(Configuration::parse("").is_empty());
        assert!(with("", &[], &[]).is_empty());
        assert_eq!(
            Configuration::parse(WHOLE).get("DEFAULT_HOSTNAME"),
            Some("(none)")
        );
    }
}
