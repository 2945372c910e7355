//! `source`: where a kernel or an image comes from. One table, or several that
//! are tried in order.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::document::{Refusal, Table, Value};
use crate::image_source;
use crate::kernel_source;
use crate::similar::{nearest, quoted_list};
use crate::{AptSource, AptSuite, Archive, ImageSource, KernelSource, PinnedPackage};

/// Architectures whose packages a guest can run.
const ARCHITECTURES: [&str; 2] = ["amd64", "i386"];

/// The sources of a kernel; reports what is wrong with them.
pub(crate) fn kernel_sources(entry: &Table<'_>, project: &Path) -> Vec<KernelSource> {
    let example =
        "{ apt = \"debian\", suite = \"bookworm\", package = \"linux-image-cloud-amd64\" }";
    sources(entry, example, |table| kernel_source(table, project))
}

/// The sources of an image; reports what is wrong with them.
pub(crate) fn image_sources(image: &Table<'_>, project: &Path) -> Vec<ImageSource> {
    let example = "{ apt = \"debian\", suite = \"bookworm\", packages = [\"bash\"] }";
    sources(image, example, |table| image_source(table, project))
}

fn sources<T>(owner: &Table<'_>, example: &str, read: impl Fn(Table<'_>) -> Option<T>) -> Vec<T> {
    let Some(value) = owner.required("source", example) else {
        return Vec::new();
    };
    if !value.is_array() {
        return value.table("a source").and_then(read).into_iter().collect();
    }
    let elements = value.elements("a table").unwrap_or_default();
    if elements.is_empty() {
        value.report(
            Diagnostic::new("`source` is empty", &value.place(), "no source in here")
                .hint(format!("write one: [{example}]")),
        );
    }
    elements
        .iter()
        .filter_map(|element| element.table("a source"))
        .filter_map(read)
        .collect()
}

/// The one of `kinds` that the source is of.
fn kind(table: &Table<'_>, kinds: &[&'static str]) -> Option<&'static str> {
    let present: Vec<&'static str> = kinds
        .iter()
        .copied()
        .filter(|kind| table.has(kind))
        .collect();
    match present.as_slice() {
        [kind] => Some(kind),
        [] => {
            let entries = table.entries();
            let meant = entries
                .iter()
                .find_map(|(key, _)| Some((key, nearest(&key.value, kinds.iter().copied())?)));
            let message = "a source that does not say of which kind it is";
            let list = format!("a source has one of {}", quoted_list(kinds.iter().copied()));
            table.report(match meant {
                Some((key, near)) => Diagnostic::new(message, &key.place, "unknown kind")
                    .hint(format!("did you mean `{near}`? {list}")),
                None => Diagnostic::new(message, &table.place(), "no kind in here").hint(list),
            });
            None
        }
        [first, second, ..] => {
            table.report(
                Diagnostic::new(
                    format!("a source cannot be `{first}` and `{second}` at once"),
                    &table.place(),
                    "two kinds in here",
                )
                .hint("several sources are written as an array: [{ … }, { … }]"),
            );
            None
        }
    }
}

fn kernel_source(mut table: Table<'_>, project: &Path) -> Option<KernelSource> {
    match kind(&table, &["apt", "rpm", "url", "path", "oci"])? {
        "apt" => {
            table.describe("an apt source of a kernel");
            let suites = apt_suites(&table, project);
            let package = package(&table, "\"linux-image-cloud-amd64\"");
            let pinned = pinned(&table);
            table.finish();
            Some(KernelSource::Apt(AptSource {
                suites: suites?,
                packages: vec![package?],
                architecture: "amd64".into(),
                pinned: pinned?,
            }))
        }
        "rpm" => kernel_source::rpm(table, project),
        "url" => kernel_source::download(table),
        "oci" => kernel_source::oci(table, project),
        _ => kernel_source::local(table, project),
    }
}

fn image_source(mut table: Table<'_>, project: &Path) -> Option<ImageSource> {
    let kinds = [
        "apt",
        "directory",
        "tarball",
        "program",
        "oci",
        "archive",
        "daemon",
    ];
    match kind(&table, &kinds)? {
        "oci" => image_source::oci(table),
        "archive" => image_source::archive(table, project),
        "daemon" => image_source::daemon(table),
        "tarball" => image_source::tarball(table, project),
        "apt" => {
            table.describe("an apt source of an image");
            let suites = apt_suites(&table, project);
            let packages = packages(&table);
            let architecture = match table.value("architecture") {
                Some(value) => value.parsed(architecture),
                None => Some("amd64".into()),
            };
            table.finish();
            Some(ImageSource::Apt(AptSource {
                suites: suites?,
                packages: packages?,
                architecture: architecture?,
                pinned: Vec::new(),
            }))
        }
        "directory" => {
            table.describe("a directory source");
            let directory = path(&table, "directory", project);
            table.finish();
            Some(ImageSource::Directory(directory?))
        }
        _ => {
            table.describe("a program source");
            let program = table.value("program").and_then(|value| {
                value.parsed(|word| match word {
                    "vsyscall" => Ok(word.to_owned()),
                    _ => Err(Refusal::unknown("program", word, &["vsyscall"])),
                })
            });
            table.finish();
            Some(ImageSource::Program(program?))
        }
    }
}

/// `pinned = [{ path = "pool/….deb", size = 1, sha256 = "…" }]`.
fn pinned(source: &Table<'_>) -> Option<Vec<PinnedPackage>> {
    let Some(value) = source.value("pinned") else {
        return Some(Vec::new());
    };
    let packages: Vec<Option<PinnedPackage>> = value
        .tables("a pinned package")
        .iter()
        .map(|table| {
            let path = table
                .required("path", "\"pool/main/l/linux/NAME_VERSION_amd64.deb\"")
                .and_then(|value| value.parsed(deb_path));
            let size = table.required("size", "13030208").and_then(|value| {
                match deb_size(&value.scalar()?.value) {
                    Ok(size) => Some(size),
                    Err(refusal) => {
                        value.refuse(refusal);
                        None
                    }
                }
            });
            let sha256 = table
                .required("sha256", "\"…\"")
                .and_then(|value| value.parsed(digits));
            table.finish();
            let (path, name, version) = path?;
            Some(PinnedPackage {
                path,
                name,
                version,
                size: size?,
                sha256: sha256?,
            })
        })
        .collect();
    packages.into_iter().collect()
}

/// The path of a .deb with the name and version that it says; a version's colon is
/// not in it, as kernels have no epoch.
fn deb_path(text: &str) -> Result<(String, String, String), Refusal> {
    let wrong = || {
        Refusal::new(format!("`{text}` is not a .deb below an archive")).hint(
            "the path as the archive has it, without a slash before: \
             \"pool/main/l/linux/linux-modules-6.19.14-amd64_6.19.14-1_amd64.deb\"",
        )
    };
    let file = text.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = file
        .strip_suffix(".deb")
        .map(|stem| stem.split('_').collect())
        .unwrap_or_default();
    let climbs = text
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..");
    match parts[..] {
        [name, version, _] if !climbs && !name.is_empty() && !version.is_empty() => {
            Ok((text.to_owned(), name.to_owned(), version.to_owned()))
        }
        _ => Err(wrong()),
    }
}

fn deb_size(text: &str) -> Result<u64, Refusal> {
    text.parse::<u64>()
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| {
            Refusal::new(format!("`{text}` is not a size")).hint("how many bytes the .deb has")
        })
}

fn digits(text: &str) -> Result<String, Refusal> {
    let good = text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if good {
        Ok(text.to_owned())
    } else {
        Err(Refusal::new(format!("`{text}` is not a SHA-256"))
            .hint("64 hexadecimal digits in lower case, as sha256sum prints them"))
    }
}

/// `apt = ARCHIVE` with one suite beside it, or `apt = [{ archive, suite }, …]`.
fn apt_suites(source: &Table<'_>, project: &Path) -> Option<Vec<AptSuite>> {
    let apt = source.value("apt")?;
    if !apt.is_array() {
        let suite = suite(source, &apt, project);
        return Some(vec![suite?]);
    }
    let elements = apt.elements("a string or an array of tables")?;
    if elements.is_empty() {
        apt.refuse(
            Refusal::new("`apt` is empty").hint(
                "write `apt = \"debian\"` or [{ archive = \"debian\", suite = \"bookworm\" }]",
            ),
        );
        return None;
    }
    let suites: Vec<Option<AptSuite>> = elements
        .iter()
        .map(|element| {
            let table = element.table("a suite of an apt source")?;
            let archive = table.required("archive", "\"debian\"");
            let suite = match &archive {
                Some(archive) => suite(&table, archive, project),
                None => None,
            };
            // Known even where the archive is missing, so not reported besides.
            for key in ["suite", "allow-expired", "snapshot", "key"] {
                table.value(key);
            }
            table.finish();
            suite
        })
        .collect();
    suites.into_iter().collect()
}

/// The suite described by `table`, in the archive named by `archive`.
fn suite(table: &Table<'_>, archive: &Value<'_>, project: &Path) -> Option<AptSuite> {
    let named = archive.parsed(|text| match text {
        "debian" => Ok(Archive::Debian),
        "debian-security" => Ok(Archive::DebianSecurity),
        _ if text.contains('/') => url(text).map(Archive::Url),
        _ => Err(
            Refusal::unknown("archive", text, &["debian", "debian-security"])
                .hint("there is `debian`, `debian-security`, and any http:// or https:// URL"),
        ),
    });
    let suite = table
        .required("suite", "\"bookworm\"")
        .and_then(|value| value.parsed(one_word("suite")));
    let allow_expired = match table.value("allow-expired") {
        Some(value) => value.boolean(),
        None => Some(false),
    };
    let written = table.value("snapshot");
    let time = match &written {
        Some(value) => Some(value.parsed(snapshot)?),
        None => None,
    };
    let key = match table.value("key") {
        Some(_) => Some(path(table, "key", project)?),
        None => None,
    };
    // What was is past its Valid-Until.
    let allow_expired = allow_expired? || time.is_some();
    let archive = match (named?, time, key) {
        (Archive::Url(url), None, Some(key)) => Archive::Keyed { url, key },
        (Archive::Debian, Some(time), None) => Archive::Snapshot {
            security: false,
            time,
        },
        (Archive::DebianSecurity, Some(time), None) => Archive::Snapshot {
            security: true,
            time,
        },
        (Archive::Url(_), Some(_), _) => {
            let refusal = Refusal::new("`snapshot` is of Debian's own archives")
                .hint("of another archive, write the URL of its snapshot as the archive");
            written?.refuse(refusal);
            return None;
        }
        (_, _, Some(_)) => {
            let refusal = Refusal::new("`key` is for other archives than Debian's")
                .hint("Debian's keys ship with this program");
            archive.refuse(refusal);
            return None;
        }
        (archive, None, None) => archive,
        // Only what was written above comes out of the first match.
        (archive, Some(_), None) => archive,
    };
    Some(AptSuite {
        archive,
        suite: suite?,
        allow_expired,
    })
}

/// `20260101T000000Z`, as Debian's archive of snapshots writes a moment.
fn snapshot(text: &str) -> Result<String, Refusal> {
    if crate::at::is_time(text) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(format!("`{text}` is not a moment"))
        .hint("year, month, day, T, hour, minute, second, Z: \"20260101T000000Z\""))
}

/// The base URL of an archive or repository, without the slash at its end.
pub(crate) fn url(text: &str) -> Result<String, Refusal> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.starts_with('/') && !rest.is_empty() && !has_space(text) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(Refusal::new(format!("`{text}` is not a URL"))
            .hint("a URL begins with http:// or https://")),
    }
}

pub(crate) fn package(table: &Table<'_>, example: &str) -> Option<String> {
    table
        .required("package", example)?
        .parsed(one_word("package"))
}

fn packages(table: &Table<'_>) -> Option<Vec<String>> {
    let value = table.required("packages", "[\"bash\", \"coreutils\"]")?;
    let elements = value.elements("an array of strings")?;
    if elements.is_empty() {
        value.refuse(
            Refusal::new("`packages` is empty")
                .hint("name at least one; essential packages and dependencies come with it"),
        );
        return None;
    }
    let names: Vec<Option<String>> = elements
        .iter()
        .map(|element| element.parsed(one_word("package")))
        .collect();
    names.into_iter().collect()
}

/// A rule for names that have no space in them and are not empty.
pub(crate) fn one_word(what: &'static str) -> impl Fn(&str) -> Result<String, Refusal> {
    move |text| {
        if text.is_empty() {
            Err(Refusal::new(format!("the {what} is empty")))
        } else if has_space(text) {
            Err(Refusal::new(format!(
                "`{text}` is not one {what}: it has a space in it"
            )))
        } else {
            Ok(text.to_owned())
        }
    }
}

fn has_space(text: &str) -> bool {
    text.contains(char::is_whitespace)
}

pub(crate) fn architecture(text: &str) -> Result<String, Refusal> {
    if ARCHITECTURES.contains(&text) {
        return Ok(text.to_owned());
    }
    let refusal = Refusal::unknown("architecture", text, &ARCHITECTURES);
    Err(match text {
        "x86_64" | "x86-64" => refusal.hint("Debian calls it `amd64`"),
        "i686" | "i586" | "x86" => refusal.hint("Debian calls it `i386`"),
        _ => refusal,
    })
}

/// A path relative to the project; not looked at here, as it may be built later.
pub(crate) fn path(table: &Table<'_>, key: &'static str, project: &Path) -> Option<PathBuf> {
    table.value(key)?.parsed(|text| {
        if text.is_empty() {
            Err(Refusal::new(format!("`{key}` is empty")).hint("a path relative to the project"))
        } else {
            Ok(project.join(text))
        }
    })
}
