//! A table as the kernel hands it out and takes it: a row of entries that name
//! each other by their offsets. Here they name each other by numbers, so that
//! entries can come and go between them.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::entry::{EXTENSION, Entry, HEADER, NEXT_OFFSET, Packets, TARGET_OFFSET};
use crate::descriptor::last_errno;

/// XT_TABLE_MAXNAMELEN.
const NAME_ROOM: usize = 32;
/// NF_INET_NUMHOOKS.
const HOOKS: usize = 5;
/// The size of a struct xt_counters.
const COUNTERS: usize = 16;

/// The options of linux/netfilter_ipv4/ip_tables.h.
const IPT_SO_SET_REPLACE: libc::c_int = 64;
const IPT_SO_SET_ADD_COUNTERS: libc::c_int = 65;
const IPT_SO_GET_INFO: libc::c_int = 64;
const IPT_SO_GET_ENTRIES: libc::c_int = 65;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// nat: translates addresses.
    Nat,
    /// filter: drops packets.
    Filter,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Filter => "filter",
        }
    }

    /// Its name in the room a structure has for it.
    fn field(self) -> Vec<u8> {
        let mut name = self.name().as_bytes().to_vec();
        name.resize(NAME_ROOM, 0);
        name
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A place where packets come by: NF_INET_*. Not every table has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// An entry's number: its place in the table that was read, and above those for
/// new ones.
type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    id: Id,
    bytes: Vec<u8>,
    /// The entry a jump goes on at.
    leads_to: Option<Id>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    kind: Kind,
    hooks: u32,
    /// Each built-in chain's first entry, and its policy.
    first: [Id; HOOKS],
    policy: [Id; HOOKS],
    entries: Vec<Placed>,
    /// How many entries were read.
    read: usize,
    next: Id,
}

/// struct ipt_getinfo without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Info {
    hooks: u32,
    first: [u32; HOOKS],
    policy: [u32; HOOKS],
    entries: u32,
    /// Of the entries, in bytes.
    size: u32,
}

impl Table {
    /// The table as it is now.
    pub(super) fn read(kind: Kind) -> Result<Self, Errno> {
        let socket = socket()?;
        let mut info = kind.field();
        info.resize(84, 0);
        get(&socket, IPT_SO_GET_INFO, &mut info)?;
        let info = Info::parse(&info).ok_or(Errno::PROTO)?;
        // struct ipt_get_entries: the name, the size, four bytes of padding.
        let mut entries = kind.field();
        entries.extend(info.size.to_ne_bytes());
        entries.resize(40 + info.size as usize, 0);
        get(&socket, IPT_SO_GET_ENTRIES, &mut entries)?;
        Self::parse(kind, &info, &entries[40..]).ok_or(Errno::PROTO)
    }

    /// Puts it in the place of the one that was read; EAGAIN when that has
    /// changed meanwhile.
    pub(super) fn replace(&self) -> Result<(), Errno> {
        let (info, entries) = self.laid_out();
        let mut counters = vec![0; self.read * COUNTERS];
        let mut replace = self.kind.field();
        replace.extend(info.hooks.to_ne_bytes());
        replace.extend(info.entries.to_ne_bytes());
        replace.extend(info.size.to_ne_bytes());
        for offset in info.first.iter().chain(&info.policy) {
            replace.extend(offset.to_ne_bytes());
        }
        // How many counters the old one has, and where the kernel is to leave
        // them.
        replace.extend((self.read as u32).to_ne_bytes());
        replace.extend((counters.as_mut_ptr() as usize).to_ne_bytes());
        replace.extend(entries);
        let socket = socket()?;
        set(&socket, IPT_SO_SET_REPLACE, &replace)?;
        // The new table's begin at zero.
        let mut kept = Vec::with_capacity(self.entries.len() * COUNTERS);
        for entry in &self.entries {
            let place = entry.id * COUNTERS;
            let own = counters.get(place..place + COUNTERS);
            kept.extend(own.unwrap_or(&[0; COUNTERS]));
        }
        add_counters(&socket, self.kind, self.entries.len(), &kept)
    }

    /// The names of the chains that are not built in.
    pub(super) fn chains(&self) -> impl Iterator<Item = String> {
        let (_, chains) = self.entries.split_last().unzip();
        let chains: &[Placed] = chains.unwrap_or_default();
        chains.iter().filter_map(|entry| head(&entry.bytes))
    }

    /// Adds a chain and gives the entry to jump to.
    pub(super) fn add_chain(&mut self, name: &str, entries: Vec<Entry>) -> Id {
        // The last entry of a table marks its end.
        let end = self.entries.len() - 1;
        let begin = self.next + 1;
        let all = [Entry::head(name)]
            .into_iter()
            .chain(entries)
            .chain([Entry::tail()]);
        for (place, entry) in (end..).zip(all) {
            let new = self.new_entry(entry, None);
            self.entries.insert(place, new);
        }
        begin
    }

    /// Has these packets go on at `chain` before anything else of a built-in
    /// chain sees them.
    pub(super) fn insert_jump(&mut self, hook: Hook, packets: &Packets<'_>, chain: Id) {
        let old = self.first[hook as usize];
        let new = self.new_entry(Entry::jump(packets), Some(chain));
        self.first[hook as usize] = new.id;
        let place = self.entries.iter().position(|entry| entry.id == old);
        self.entries.insert(place.unwrap_or(0), new);
    }

    /// Removes a chain and the jumps to it, if it is there.
    pub(super) fn remove_chain(&mut self, name: &str) {
        let last = self.entries.len() - 1;
        let begin = self.entries[..last]
            .iter()
            .position(|entry| head(&entry.bytes).as_deref() == Some(name));
        let Some(begin) = begin else {
            return;
        };
        let length = self.entries[begin + 1..]
            .iter()
            .position(|entry| head(&entry.bytes).is_some());
        let end = length.map_or(last, |length| begin + 1 + length);
        let gone: Vec<Id> = self.entries[begin..end]
            .iter()
            .map(|entry| entry.id)
            .collect();
        self.entries.drain(begin..end);
        let leads_there =
            |entry: &Placed| entry.leads_to.is_some_and(|target| gone.contains(&target));
        while let Some(place) = self.entries.iter().position(leads_there) {
            let jump = self.entries.remove(place);
            let after = self.entries[place].id;
            for first in &mut self.first {
                if *first == jump.id {
                    *first = after;
                }
            }
        }
    }

    fn new_entry(&mut self, entry: Entry, leads_to: Option<Id>) -> Placed {
        let id = self.next;
        self.next += 1;
        Placed {
            id,
            bytes: entry.0,
            leads_to,
        }
    }

    fn parse(kind: Kind, info: &Info, bytes: &[u8]) -> Option<Self> {
        let mut offsets = BTreeMap::new();
        let mut pieces = Vec::new();
        let mut offset = 0;
        while offset < bytes.len() {
            let length = usize::from(short(bytes.get(offset..)?, NEXT_OFFSET)?);
            let entry = bytes.get(offset..offset + length)?;
            if length < HEADER + EXTENSION {
                return None;
            }
            offsets.insert(u32::try_from(offset).ok()?, pieces.len());
            pieces.push(entry);
            offset += length;
        }
        if pieces.is_empty() || pieces.len() != info.entries as usize {
            return None;
        }
        let entries: Option<Vec<Placed>> = pieces
            .iter()
            .enumerate()
            .map(|(id, bytes)| {
                let leads_to = match verdict(bytes)? {
                    Some(target) if target >= 0 => Some(*offsets.get(&target.cast_unsigned())?),
                    _ => None,
                };
                Some(Placed {
                    id,
                    bytes: bytes.to_vec(),
                    leads_to,
                })
            })
            .collect();
        let mut table = Self {
            kind,
            hooks: info.hooks,
            first: [0; HOOKS],
            policy: [0; HOOKS],
            entries: entries?,
            read: pieces.len(),
            next: pieces.len(),
        };
        for hook in (0..HOOKS).filter(|hook| info.hooks & (1 << hook) != 0) {
            table.first[hook] = *offsets.get(&info.first[hook])?;
            table.policy[hook] = *offsets.get(&info.policy[hook])?;
        }
        Some(table)
    }

    /// The opposite of [`Table::parse`].
    fn laid_out(&self) -> (Info, Vec<u8>) {
        let mut offsets = BTreeMap::new();
        let mut offset = 0_u32;
        for entry in &self.entries {
            offsets.insert(entry.id, offset);
            offset += entry.bytes.len() as u32;
        }
        let of = |id: &Id| offsets.get(id).copied().unwrap_or(0);
        let mut bytes = Vec::with_capacity(offset as usize);
        for entry in &self.entries {
            let begin = bytes.len();
            bytes.extend(&entry.bytes);
            if let (Some(target), Some(place)) =
                (&entry.leads_to, short(&entry.bytes, TARGET_OFFSET))
            {
                let place = begin + usize::from(place) + EXTENSION;
                bytes[place..place + 4].copy_from_slice(&of(target).to_ne_bytes());
            }
        }
        let places = |ids: &[Id; HOOKS]| {
            // As the kernel has it where nothing is hooked in.
            let mut places = [u32::MAX; HOOKS];
            for (hook, place) in places.iter_mut().enumerate() {
                if self.hooks & (1 << hook) != 0 {
                    *place = of(&ids[hook]);
                }
            }
            places
        };
        let info = Info {
            hooks: self.hooks,
            first: places(&self.first),
            policy: places(&self.policy),
            entries: self.entries.len() as u32,
            size: offset,
        };
        (info, bytes)
    }
}

impl Info {
    /// After the name: the hooks, where their chains begin and end, how many
    /// entries, their size.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |index: usize| {
            let place = NAME_ROOM + 4 * index;
            let bytes = bytes.get(place..place + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let mut info = Self {
            hooks: field(0)?,
            first: [0; HOOKS],
            policy: [0; HOOKS],
            entries: field(1 + 2 * HOOKS)?,
            size: field(2 + 2 * HOOKS)?,
        };
        for hook in 0..HOOKS {
            info.first[hook] = field(1 + hook)?;
            info.policy[hook] = field(1 + HOOKS + hook)?;
        }
        Some(info)
    }
}

fn short(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        bytes.get(place..place + 2)?.try_into().ok()?,
    ))
}

/// An entry's target: its name, its data.
fn target(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let target = entry.get(usize::from(short(entry, TARGET_OFFSET)?)..)?;
    let name = target.get(2..EXTENSION - 1)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    Some((&name[..end], target.get(EXTENSION..)?))
}

/// The verdict of a standard target, whose name is empty; no standard target's
/// is `Some(None)`, and none at all for what is no entry.
fn verdict(entry: &[u8]) -> Option<Option<i32>> {
    match target(entry)? {
        (b"", data) => {
            let verdict = data.get(..4)?.try_into().ok()?;
            Some(Some(i32::from_ne_bytes(verdict)))
        }
        _ => Some(None),
    }
}

/// The chain that begins with this entry. The table's end looks the same, with
/// the name ERROR.
fn head(entry: &[u8]) -> Option<String> {
    match target(entry)? {
        (b"ERROR", data) => {
            let end = data.iter().position(|byte| *byte == 0)?;
            Some(String::from_utf8_lossy(&data[..end]).into_owned())
        }
        _ => None,
    }
}

fn socket() -> Result<OwnedFd, Errno> {
    let kind = SocketType::RAW;
    socket_with(
        AddressFamily::INET,
        kind,
        SocketFlags::CLOEXEC,
        Some(ipproto::RAW),
    )
}

/// Adds to the counters of all entries; what is counted meanwhile is not lost.
fn add_counters(
    socket: &OwnedFd,
    kind: Kind,
    entries: usize,
    counters: &[u8],
) -> Result<(), Errno> {
    // struct xt_counters_info: the name, how many, four bytes of padding.
    let mut add = kind.field();
    add.extend((entries as u32).to_ne_bytes());
    add.resize(40, 0);
    add.extend(counters);
    set(socket, IPT_SO_SET_ADD_COUNTERS, &add)
}

/// The kernel reads what it is asked for in `buffer`, and answers there.
fn get(socket: &OwnedFd, option: libc::c_int, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the buffer.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Where `buffer` has a pointer, it must be to room enough for what the kernel
/// writes there.
fn set(socket: &OwnedFd, option: libc::c_int, buffer: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the buffer. The one pointer in it, of a
    // replacement, is to as many counters as it says.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            option,
            buffer.as_ptr().cast(),
            buffer.len() as libc::socklen_t,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

#[cfg(test)]
mod tests;
