//! What a kernel module says about itself: the NUL-separated `key=value` of its
//! `.modinfo` section.

use object::{Object, ObjectSection};

/// The parts of `.modinfo` that tell what must be loaded with a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModInfo {
    /// `depends=`: modules whose symbols it uses.
    pub(crate) depends: Vec<String>,
    /// `softdep=… pre:`: modules or aliases to load before it.
    pub(crate) before: Vec<String>,
    /// `softdep=… post:`: after it.
    pub(crate) after: Vec<String>,
    /// `alias=`.
    pub(crate) aliases: Vec<String>,
}

impl ModInfo {
    /// Reads a module's section.
    pub(crate) fn of_module(module: &[u8]) -> Result<Self, object::read::Error> {
        let file = object::File::parse(module)?;
        match file.section_by_name(".modinfo") {
            Some(section) => Ok(Self::parse(section.data()?)),
            // A module without says nothing.
            None => Ok(Self::default()),
        }
    }

    /// Parses the section's bytes.
    pub(crate) fn parse(section: &[u8]) -> Self {
        let mut info = Self::default();
        for entry in section.split(|&byte| byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            let Some((key, value)) = entry.split_once('=') else {
                continue;
            };
            match key {
                "depends" => {
                    let names = value.split(',').filter(|name| !name.is_empty());
                    info.depends.extend(names.map(str::to_owned));
                }
                "softdep" => info.soft(value),
                "alias" => info.aliases.push(value.to_owned()),
                _ => {}
            }
        }
        info
    }

    /// `pre: a b post: c`, as modprobe.d's softdep without its first word.
    fn soft(&mut self, value: &str) {
        let mut list = None;
        for word in value.split_whitespace() {
            match word {
                "pre:" => list = Some(&mut self.before),
                "post:" => list = Some(&mut self.after),
                name => {
                    if let Some(list) = &mut list {
                        list.push(name.to_owned());
                    }
                }
            }
        }
    }
}

/// Aliases in modules.builtin.modinfo: NUL-separated `NAME.KEY=VALUE`. Gives
/// (alias, module).
pub(crate) fn builtin_aliases(content: &[u8]) -> impl Iterator<Item = (String, String)> {
    content.split(|&byte| byte == 0).filter_map(|entry| {
        let entry = std::str::from_utf8(entry).ok()?;
        let (name, alias) = entry.split_once(".alias=")?;
        Some((alias.to_owned(), name.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_a_real_module_is_read() {
        // btrfs.ko of Debian's 6.1, shortened.
        let section = b"license=GPL\0softdep=pre: xxhash64\0softdep=pre: crc32c post: x\0\
            alias=fs-btrfs\0alias=devname:btrfs-control\0depends=raid6_pq,xor,libcrc32c\0\
            retpoline=Y\0\0\0intree=Y\0name=btrfs\0";
        let info = ModInfo::parse(section);
        assert_eq!(info.depends, ["raid6_pq", "xor", "libcrc32c"]);
        assert_eq!(info.before, ["xxhash64", "crc32c"]);
        assert_eq!(info.after, ["x"]);
        assert_eq!(info.aliases, ["fs-btrfs", "devname:btrfs-control"]);
        assert_eq!(ModInfo::parse(b"depends=\0"), ModInfo::default());
    }

    #[test]
    fn aliases_of_what_is_built_in_name_their_module() {
        let content = b"crc32c_generic.alias=crypto-crc32c\0crc32c_generic.license=GPL\0";
        assert_eq!(
            builtin_aliases(content).collect::<Vec<_>>(),
            [("crypto-crc32c".to_owned(), "crc32c_generic".to_owned())]
        );
    }
}
