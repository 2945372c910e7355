//! `matrix update`: matrix.lock, what the selected kernels and images are now.
//!
//! Every archive and registry is asked anew. What is not selected stays as it is
//! locked; what the project no longer has is dropped. A source that cannot be had
//! keeps its lock, and is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plan::{Image, Kernel, LOCK, Lock, LockedImage, LockedKernel, Pin, Project};
use supply::Supply;

use crate::cli::{Global, UpdateArguments};
use crate::error::{Failure, Status};
use crate::progress::{note, print};
use crate::run::{load_project, selection};

/// `matrix update`: exit status 3 where something could not be had.
pub(crate) fn command(global: &Global, arguments: &UpdateArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let selected = selection(&arguments.selection, std::env::current_dir()?);
    let plan = plan::plan(&project, &selected)?;
    let before = match project.root.join(LOCK).exists() {
        true => Lock::read(&project.root)?,
        false => Lock::default(),
    };
    let supply = Supply::asking_anew(supply::Options {
        cache_root: global.cache.clone(),
        offline: false,
        progress: Arc::new(Notes),
        qemu: None,
    })?;
    let mut work: Vec<Piece<'_>> = Vec::new();
    let mut names = BTreeSet::new();
    for kernel in &plan.kernels {
        if names.insert(plan::lock_name(&kernel.id)) {
            work.push(Piece::Kernel(kernel));
        }
    }
    work.extend(plan.images.iter().map(Piece::Image));
    let found = all(&supply, &work);

    let mut after = before.clone();
    drop_gone(&mut after, &project);
    let (mut page, mut complete) = (String::new(), true);
    for (piece, pin) in work.iter().zip(found) {
        // Writing to a String cannot fail.
        match pin {
            Ok((source, pin)) => {
                let _ = writeln!(
                    page,
                    "{}: {}",
                    piece.name(),
                    change(piece.locked(&before), &pin)
                );
                piece.lock(&mut after, source, pin);
            }
            Err(reason) => {
                complete &= piece.is_optional();
                let kept = match piece.locked(&before) {
                    Some(_) => "stays as it was locked",
                    None => "not locked",
                };
                let _ = writeln!(page, "{}: {kept}: {reason}", piece.name());
            }
        }
    }
    let text = after.to_text();
    let path = project.root.join(LOCK);
    let changed = after != before || !path.exists();
    let _ = writeln!(
        page,
        "{LOCK}: {} kernels, {} images{}",
        after.kernels.len(),
        after.images.len(),
        match (changed, arguments.dry_run) {
            (false, _) => ", unchanged",
            (true, true) => "; not written",
            (true, false) => "",
        }
    );
    if changed && !arguments.dry_run {
        write(&path, &text)?;
    }
    print(&page)?;
    Ok(if complete {
        Status::Done
    } else {
        Status::Incomplete
    })
}

/// Something that is locked.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Kernel(&'a Kernel),
    Image(&'a Image),
}

impl Piece<'_> {
    fn name(&self) -> String {
        match self {
            Piece::Kernel(kernel) => format!("kernel {}", plan::lock_name(&kernel.id)),
            Piece::Image(image) => format!("image {}", image.name),
        }
    }

    fn is_optional(&self) -> bool {
        match self {
            Piece::Kernel(kernel) => kernel.optional,
            Piece::Image(image) => image.optional,
        }
    }

    fn locked<'l>(&self, lock: &'l Lock) -> Option<&'l Pin> {
        match self {
            Piece::Kernel(kernel) => lock
                .kernels
                .iter()
                .find(|locked| locked.name == plan::lock_name(&kernel.id))
                .map(|locked| &locked.pin),
            Piece::Image(image) => lock
                .images
                .iter()
                .find(|locked| locked.name == image.name)
                .map(|locked| &locked.pin),
        }
    }

    fn lock(&self, lock: &mut Lock, source: String, pin: Pin) {
        match self {
            Piece::Kernel(kernel) => lock.put_kernel(LockedKernel {
                name: plan::lock_name(&kernel.id).to_owned(),
                source,
                pin,
            }),
            Piece::Image(image) => lock.put_image(LockedImage {
                name: image.name.clone(),
                source,
                pin,
            }),
        }
    }

    /// The source that has it, in words, and what it is; or why it is not to be had.
    fn pin(&self, supply: &Supply) -> Result<(String, Pin), String> {
        match self {
            Piece::Kernel(kernel) => supply
                .pin_kernel(&kernel.sources)
                .map(|(source, pin)| (source.to_string(), pin)),
            Piece::Image(image) => {
                let programs = BTreeMap::from([("vsyscall".to_owned(), crate::programs::VSYSCALL)]);
                supply
                    .pin_image(&image.sources, &programs)
                    .map(|(source, pin)| (source.to_string(), pin))
            }
        }
        .map_err(|error| error.to_string())
    }
}

type Found = Result<(String, Pin), String>;

/// All of them, as many at once as there are processors: reading an index is work.
fn all(supply: &Supply, work: &[Piece<'_>]) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<Found>>> = Mutex::new(vec![None; work.len()]);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(work.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = work.get(at) else {
                        break;
                    };
                    let pin = piece.pin(supply);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found[at] = Some(pin);
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found
        .into_iter()
        .map(|pin| pin.unwrap_or_else(|| Err("it was not looked at".to_owned())))
        .collect()
}

/// What the project has no more is locked no more.
fn drop_gone(lock: &mut Lock, project: &Project) {
    let there = |name: &str| {
        project
            .kernels
            .iter()
            .any(|entry| entry.kernel.id == plan::base_of(name).split('+').next().unwrap_or(name))
    };
    lock.kernels
        .retain(|kernel| kernel.name.contains('/') || there(&kernel.name));
    lock.images.retain(|image| {
        image.name.contains('/')
            || project
                .images
                .iter()
                .any(|entry| entry.image.name == image.name)
    });
}

/// What a pin is, and what it was.
fn change(before: Option<&Pin>, now: &Pin) -> String {
    let said = words(now);
    match before {
        None => said,
        Some(before) if before == now => format!("{said}, unchanged"),
        Some(Pin::Packages(before)) => match now {
            Pin::Packages(now) if now.len() > 3 => {
                let changed = now.iter().filter(|package| !before.contains(package));
                format!("{said}, {} changed", changed.count())
            }
            _ => format!("{said} (was {})", words(&Pin::Packages(before.clone()))),
        },
        Some(before) => format!("{said} (was {})", words(before)),
    }
}

fn words(pin: &Pin) -> String {
    match pin {
        Pin::Packages(packages) if packages.len() > 3 => format!("{} packages", packages.len()),
        Pin::Packages(packages) => packages
            .first()
            .map(|package| format!("{} {}", package.name, package.version))
            .unwrap_or_default(),
        Pin::Digest(digest) => digest.clone(),
        Pin::Version { version, .. } => version.clone(),
        Pin::Program => "a part of this program".to_owned(),
    }
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    // The file is for whoever may read the project.
    std::fs::set_permissions(
        file.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Prints what a person should know, and no progress: an index is soon read.
struct Notes;

impl supply::Progress for Notes {
    fn started(&self, _what: &str, _total: Option<u64>) {}
    fn advanced(&self, _what: &str, _done: u64) {}
    fn finished(&self, _what: &str, _bytes: u64, _error: Option<&str>) {}
    fn note(&self, message: &str) {
        note(message);
    }
}

#[cfg(test)]
mod tests {
    use plan::LockedPackage;

    use super::*;

    #[test]
    fn a_change_says_what_was() {
        let package = |version: &str| LockedPackage {
            name: "linux-image-6.1".to_owned(),
            version: version.to_owned(),
            url: String::new(),
            sha256: version.to_owned(),
        };
        let pin = |version: &str| Pin::Packages(vec![package(version)]);
        assert_eq!(change(None, &pin("1")), "linux-image-6.1 1");
        assert_eq!(
            change(Some(&pin("1")), &pin("1")),
            "linux-image-6.1 1, unchanged"
        );
        assert_eq!(
            change(Some(&pin("1")), &pin("2")),
            "linux-image-6.1 2 (was linux-image-6.1 1)"
        );
        let many = |versions: [&str; 4]| Pin::Packages(versions.map(package).into());
        assert_eq!(
            change(
                Some(&many(["1", "2", "3", "4"])),
                &many(["1", "2", "5", "6"])
            ),
            "4 packages, 2 changed"
        );
    }
}
