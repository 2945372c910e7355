//! `matrix cache`: what is kept, what it takes, whether it is sound, and its removal.
//!
//! A run trusts the cache's own record of what it holds (size, times, a checksum of
//! what is small); `verify` reads everything through.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use supply::{Entry, Silent, Supply};

use crate::cli::{CacheArguments, CacheCommand, Global};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::template_words;

/// What the kinds of things are, in the order of their making.
const KINDS: [(&str, &str); 9] = [
    (
        crate::run::TEMPLATES,
        "kept machines, for warm starts; bounded by --template-space",
    ),
    ("blob", "what was fetched, by its SHA-256"),
    ("boot-kernel", "kernels, uncompressed"),
    ("image", "userlands, ready to be attached"),
    ("index", "what archives have, in a small form"),
    ("initramfs", "the guest with a kernel's modules"),
    ("kernel", "kernels with their modules, unpacked"),
    ("tool", "QEMU and mksquashfs, unpacked"),
    (
        "tool-version",
        "what installed programs said of their version",
    ),
];

/// `matrix cache ls|gc|verify|rm`.
pub(crate) fn command(global: &Global, arguments: &CacheArguments) -> Result<Status, Failure> {
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: true,
        qemu: None,
        progress: Arc::new(Silent),
    })?;
    let entries = supply
        .cache()
        .entries()
        .map_err(supply::SupplyError::from)?;
    match &arguments.command {
        CacheCommand::Ls { kind: None } => {
            let root = supply.cache().root();
            print(&summary(root, &entries, SystemTime::now()))?;
            Ok(Status::Done)
        }
        CacheCommand::Ls { kind: Some(kind) } => {
            let chosen = select(&entries, kind)?;
            print(&listing(&chosen, SystemTime::now()))?;
            Ok(Status::Done)
        }
        CacheCommand::Gc { unused } => {
            let freed = supply
                .cache()
                .collect(*unused)
                .map_err(supply::SupplyError::from)?;
            print(&format!("{} freed\n", bytes(freed)))?;
            Ok(Status::Done)
        }
        CacheCommand::Verify { what } => {
            let chosen = match what {
                Some(what) => select(&entries, what)?,
                None => entries.iter().collect(),
            };
            verify(&supply, &chosen)
        }
        CacheCommand::Rm { what } => {
            let mut chosen = Vec::new();
            for what in what {
                chosen.extend(select(&entries, what)?);
            }
            let mut freed = 0;
            for entry in &chosen {
                supply
                    .cache()
                    .remove(entry)
                    .map_err(supply::SupplyError::from)?;
                freed += entry.on_disk;
            }
            print(&format!(
                "{} removed, {} freed\n",
                things(chosen.len()),
                bytes(freed)
            ))?;
            Ok(Status::Done)
        }
    }
}

/// Reads all of them; status 3 when something was damaged, which is gone then.
fn verify(supply: &Supply, chosen: &[&Entry]) -> Result<Status, Failure> {
    let mut damaged = 0;
    for entry in chosen {
        match supply.cache().verify(entry) {
            Ok(()) => {}
            Err(error @ supply::CacheError::Damaged { .. }) => {
                damaged += 1;
                print(&format!("{error}; removed, its next use makes it again\n"))?;
            }
            Err(error) => return Err(supply::SupplyError::from(error).into()),
        }
    }
    let total = chosen.iter().map(|entry| entry.bytes).sum();
    print(&format!(
        "{} read, {}: {damaged} damaged\n",
        things(chosen.len()),
        bytes(total)
    ))?;
    Ok(match damaged {
        0 => Status::Done,
        _ => Status::Incomplete,
    })
}

/// `KIND`, or `KIND/NAME` where the beginning of a name will do.
fn select<'a>(entries: &'a [Entry], what: &str) -> Result<Vec<&'a Entry>, Failure> {
    let (kind, name) = what.split_once('/').unwrap_or((what, ""));
    let chosen: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.kind == kind && entry.name.starts_with(name))
        .collect();
    if chosen.is_empty() {
        let mut kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
        kinds.dedup();
        return Err(Failure::NotCached {
            wanted: what.to_owned(),
            hint: match kinds.is_empty() {
                true => "it is empty".to_owned(),
                false => format!("there is {}", kinds.join(", ")),
            },
        });
    }
    Ok(chosen)
}

/// A line per kind.
fn summary(root: &Path, entries: &[Entry], now: SystemTime) -> String {
    let mut kinds: Vec<(&str, usize, u64, SystemTime)> = Vec::new();
    for entry in entries {
        match kinds.iter_mut().find(|(kind, ..)| *kind == entry.kind) {
            Some((_, count, taken, used)) => {
                *count += 1;
                *taken += entry.on_disk;
                *used = (*used).max(entry.used);
            }
            None => kinds.push((&entry.kind, 1, entry.on_disk, entry.used)),
        }
    }
    kinds.sort_by_key(|(_, _, taken, _)| std::cmp::Reverse(*taken));
    let width = kinds.iter().map(|(kind, ..)| kind.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", root.display());
    // Writing to a String cannot fail.
    for (kind, count, taken, used) in &kinds {
        let about = KINDS
            .iter()
            .find(|(known, _)| known == kind)
            .map(|(_, about)| format!("  {about}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  {kind:width$}  {count:>6}  {:>10}  used {}{about}",
            bytes(*taken),
            ago(now, *used)
        );
    }
    let total = entries.iter().map(|entry| entry.on_disk).sum();
    let _ = writeln!(text, "{}, {}", things(entries.len()), bytes(total));
    text
}

/// A line per thing, what was used last first.
fn listing(chosen: &[&Entry], now: SystemTime) -> String {
    let mut chosen = chosen.to_vec();
    chosen.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let mut text = String::new();
    for entry in &chosen {
        let about = match entry.kind == crate::run::TEMPLATES {
            true => template_words(&entry.path),
            false => String::new(),
        };
        let short: String = entry.name.chars().take(16).collect();
        let _ = writeln!(
            text,
            "{}/{short}  {:>10}  used {}{about}",
            entry.kind,
            bytes(entry.on_disk),
            ago(now, entry.used)
        );
    }
    let total = chosen.iter().map(|entry| entry.on_disk).sum();
    let _ = writeln!(text, "{}, {}", things(chosen.len()), bytes(total));
    text
}

fn things(count: usize) -> String {
    match count {
        1 => "1 thing".to_owned(),
        _ => format!("{count} things"),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{} KiB", count.div_ceil(1 << 10)),
        1_048_576..1_073_741_824 => format!("{} MiB", count >> 20),
        _ => format!("{:.1} GiB", count as f64 / f64::from(1 << 30)),
    }
}

/// `today`, or how many days ago.
fn ago(now: SystemTime, used: SystemTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let age = now.duration_since(used).unwrap_or(Duration::ZERO);
    match age.as_secs() / DAY {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, name: &str, on_disk: u64, days: u64) -> Entry {
        Entry {
            kind: kind.to_owned(),
            name: name.to_owned(),
            path: Path::new("/cache").join(kind).join(name),
            bytes: on_disk,
            on_disk,
            used: now() - Duration::from_secs(days * 24 * 60 * 60),
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
    }

    #[test]
    fn what_takes_most_comes_first_and_all_of_it_is_counted() {
        let entries = [
            entry("blob", "aa", 4 << 10, 0),
            entry("blob", "ab", 8 << 10, 3),
            entry("disk", "cc", 3 << 30, 1),
        ];
        let text = summary(Path::new("/cache"), &entries, now());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "/cache");
        assert!(
            lines[1].starts_with("  disk       1     3.0 GiB  used yesterday"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("  blob       2      12 KiB  used today"),
            "{text}"
        );
        assert_eq!(lines[3], "3 things, 3.0 GiB");
    }

    #[test]
    fn things_are_chosen_by_kind_and_the_beginning_of_their_name() {
        let entries = [entry("blob", "aa", 1, 0), entry("blob", "ab", 1, 0)];
        assert_eq!(select(&entries, "blob").unwrap().len(), 2);
        assert_eq!(select(&entries, "blob/ab").unwrap()[0].name, "ab");
        let error = select(&entries, "template").unwrap_err().to_string();
        assert!(error.contains("template"), "{error}");
        assert!(error.contains("there is blob"), "{error}");
    }
}
