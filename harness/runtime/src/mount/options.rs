//! The words of a mount's options, as mount(8) has them.

use std::ffi::CString;

use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::failure::Failure;

/// How mounts and unmounts spread from and to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Propagation(pub(crate) MountPropagationFlags);

impl Propagation {
    /// rprivate, the default.
    pub(crate) const PRIVATE: Self =
        Self(MountPropagationFlags::PRIVATE.union(MountPropagationFlags::REC));

    /// Whether a peer group or its receiver is wanted, so that "/" must keep
    /// receiving from its peers.
    pub(crate) fn receives(self) -> bool {
        self.0
            .intersects(MountPropagationFlags::SHARED.union(MountPropagationFlags::DOWNSTREAM))
    }
}

/// A propagation word, or none.
pub(crate) fn propagation(word: &str) -> Option<Propagation> {
    let (kind, recursive) = match word.strip_prefix('r') {
        Some(kind) => (kind, MountPropagationFlags::REC),
        None => (word, MountPropagationFlags::empty()),
    };
    let kind = match kind {
        "private" => MountPropagationFlags::PRIVATE,
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(Propagation(kind.union(recursive)))
}

/// A bind mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// `bind`: the one mount.
    Single,
    /// `rbind`: and those below it.
    Recursive,
}

/// Options told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) flags: MountFlags,
    /// Flags asked not to be there: `exec` clears `noexec` of a bind's source.
    pub(crate) cleared: MountFlags,
    pub(crate) bind: Option<Bind>,
    pub(crate) propagation: Option<Propagation>,
    /// `rro`: read-only with all below it.
    pub(crate) recursively_readonly: bool,
    /// What is the file system's own.
    pub(crate) data: CString,
}

/// Words that set and clear flags.
const WORDS: [(&str, MountFlags, bool); 25] = [
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
    ("nomand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("norelatime", MountFlags::RELATIME, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("nostrictatime", MountFlags::STRICTATIME, false),
    ("lazytime", MountFlags::LAZYTIME, true),
    ("nolazytime", MountFlags::LAZYTIME, false),
    ("silent", MountFlags::SILENT, true),
    ("loud", MountFlags::SILENT, false),
];

/// Words that are neither flags nor a file system's: recursive attributes
/// (mount_setattr, Linux 5.12), idmapped mounts, runc's copy-up.
const NOT_IMPLEMENTED: [&str; 17] = [
    "rrw",
    "rnosuid",
    "rsuid",
    "rnodev",
    "rdev",
    "rnoexec",
    "rexec",
    "rnodiratime",
    "rdiratime",
    "rrelatime",
    "rnoatime",
    "rstrictatime",
    "nosymfollow",
    "remount",
    "idmap",
    "ridmap",
    "tmpcopyup",
];

/// `field` names the list in the configuration: `mounts[2].options`.
pub(crate) fn parse(field: &str, words: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        flags: MountFlags::empty(),
        cleared: MountFlags::empty(),
        bind: None,
        propagation: None,
        recursively_readonly: false,
        data: CString::default(),
    };
    let mut data: Vec<&str> = Vec::new();
    for word in words {
        if let Some((_, flag, set)) = WORDS.iter().find(|(name, ..)| name == word) {
            options.flags.set(*flag, *set);
            options.cleared.set(*flag, !*set);
        } else if let Some(propagation) = propagation(word) {
            options.propagation = Some(propagation);
        } else if NOT_IMPLEMENTED.contains(&word.as_str()) {
            return Err(Failure::NotImplemented {
                field: format!("{field}: {word}"),
            });
        } else {
            match word.as_str() {
                "defaults" => {}
                "bind" => options.bind = options.bind.or(Some(Bind::Single)),
                "rro" => options.recursively_readonly = true,
                "rbind" => options.bind = Some(Bind::Recursive),
                own => data.push(own),
            }
        }
    }
    if options.bind.is_some() && !data.is_empty() {
        // The kernel would not look at them.
        return Err(Failure::NotImplemented {
            field: format!("{field}: {} of a bind mount", data.join(",")),
        });
    }
    if options.recursively_readonly && options.bind.is_none() {
        return Err(Failure::NotImplemented {
            field: format!("{field}: rro of anything but a bind mount"),
        });
    }
    options.data = CString::new(data.join(","))
        .map_err(|_nul| Failure::invalid(field, "a null byte inside a string"))?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Options, Failure> {
        let words: Vec<String> = words.split(',').map(str::to_owned).collect();
        parse("mounts[0].options", &words)
    }

    #[test]
    fn flags_and_data_are_told_apart() {
        let options = parsed("nosuid,noexec,newinstance,ptmxmode=0666,gid=5").unwrap();
        assert_eq!(options.flags, MountFlags::NOSUID | MountFlags::NOEXEC);
        assert_eq!(options.data.to_str(), Ok("newinstance,ptmxmode=0666,gid=5"));
        assert_eq!(options.bind, None);
    }

    #[test]
    fn the_last_word_wins() {
        let options = parsed("ro,rw,exec,noexec").unwrap();
        assert_eq!(options.flags, MountFlags::NOEXEC);
        assert_eq!(options.cleared, MountFlags::RDONLY);
    }

    #[test]
    fn bind_takes_propagation_but_no_data() {
        let options = parsed("rbind,ro,rprivate").unwrap();
        assert_eq!(options.bind, Some(Bind::Recursive));
        assert_eq!(options.propagation, Some(Propagation::PRIVATE));
        assert!(parsed("bind,size=3").is_err());
    }

    #[test]
    fn what_is_not_done_is_named() {
        let message = parsed("rbind,rnodev").unwrap_err().to_string();
        assert!(message.contains("mounts[0].options: rnodev"), "{message}");
    }
}
