//! Tools the machine has.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use fs_err as fs;

use super::{Recipe, Tool, ToolError};
use crate::cache::{Cache, CacheError, Key};
use crate::progress::Progress;

/// The cache's kind of what programs said.
const KIND: &str = "tool-version";

/// The program asked for by path.
pub(super) fn requested(recipe: &Recipe, program: &Path, cache: &Cache) -> Result<Tool, ToolError> {
    let mut tool = Tool {
        program: program.to_path_buf(),
        prefix_arguments: Vec::new(),
        version: String::new(),
        origin: format!("machine: {}", program.display()),
    };
    tool.version = remembered(recipe, program, cache, || version(recipe, &tool))?;
    if is_old(recipe, &tool.version) {
        return Err(ToolError::TooOld {
            program: program.to_path_buf(),
            version: tool.version,
            needed: recipe.oldest_text,
        });
    }
    Ok(tool)
}

/// The first on PATH, if it will do; why not is told.
pub(super) fn on_path(recipe: &Recipe, cache: &Cache, progress: &dyn Progress) -> Option<Tool> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(recipe.program))
        .find(|program| {
            fs::metadata(program).is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })?;
    match requested(recipe, &program, cache) {
        Ok(tool) => Some(tool),
        Err(ToolError::TooOld {
            version, needed, ..
        }) => {
            progress.note(&format!(
                "{} is version {version}, {needed} is needed: taking Debian's",
                program.display()
            ));
            None
        }
        Err(error) => {
            progress.note(&format!("{error}: taking Debian's"));
            None
        }
    }
}

/// What `ask` gives, or gave for this very file, with the libraries that were installed
/// then: QEMU takes longer to say its version than a run takes to everything else before
/// its first machine. A script is asked each time, for what it starts can change while it
/// stays.
fn remembered(
    recipe: &Recipe,
    program: &Path,
    cache: &Cache,
    ask: impl FnOnce() -> Result<String, ToolError>,
) -> Result<String, ToolError> {
    let Some(key) = key(recipe, program) else {
        return ask();
    };
    if let Some(path) = cache.get(KIND, &key)
        && let Ok(version) = fs::read_to_string(path)
    {
        return Ok(version);
    }
    let version = ask()?;
    let kept = cache.build::<CacheError>(KIND, &key, |path| {
        std::fs::write(path, &version).map_err(|source| CacheError::io(path, source))
    });
    match kept {
        // A cache that cannot be written to is told of where something has to be in it:
        // here the next start asks again.
        Ok(_) | Err(_) => Ok(version),
    }
}

/// Written anew when a library is installed, where there is one.
const LIBRARIES: &str = "/etc/ld.so.cache";

/// None for what is no ELF program, or cannot be looked at.
fn key(recipe: &Recipe, program: &Path) -> Option<Key> {
    let program = fs::canonicalize(program).ok()?;
    let mut magic = [0; 4];
    let mut file = fs::File::open(&program).ok()?;
    file.read_exact(&mut magic).ok()?;
    if &magic != b"\x7fELF" {
        return None;
    }
    let metadata = file.metadata().ok()?;
    let libraries = fs::metadata(LIBRARIES).ok();
    let mut key = Key::new("tool-version-v1")
        .with("argument", recipe.version_argument)
        .with("prefix", recipe.version_prefix)
        .with("path", program.as_os_str().as_bytes());
    for number in changed(&metadata)
        .into_iter()
        .chain(libraries.iter().flat_map(changed))
    {
        key = key.with("changed", number.to_le_bytes());
    }
    Some(key)
}

/// A file's last change of any kind, besides the one of its content: a package's files
/// have the time of their making.
fn changed(metadata: &std::fs::Metadata) -> [u64; 7] {
    [
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
        metadata.ctime().cast_unsigned(),
        metadata.ctime_nsec().cast_unsigned(),
    ]
}

/// Asks the tool itself, which also shows that it starts, or did.
pub(super) fn version(recipe: &Recipe, tool: &Tool) -> Result<String, ToolError> {
    let no_version = |reason: String| ToolError::NoVersion {
        program: tool.program.clone(),
        reason,
    };
    let output = tool
        .command()
        .arg(recipe.version_argument)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_version(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text, recipe.version_prefix).ok_or_else(|| {
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let said = String::from_utf8_lossy(said);
        no_version(format!(
            "{}: {}",
            output.status,
            said.trim().lines().next().unwrap_or("no output")
        ))
    })
}

fn parse_version(text: &str, prefix: &str) -> Option<String> {
    // Some put their own path before it.
    let (_, rest) = text.lines().find_map(|line| line.split_once(prefix))?;
    let version = rest.split([' ', '\t', '(', ',']).next()?;
    numbers(version)?;
    Some(version.to_owned())
}

/// Major and minor.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-', '+']);
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

/// mksquashfs and QEMU never had a version without two numbers.
fn is_old(recipe: &Recipe, version: &str) -> bool {
    numbers(version).is_none_or(|numbers| numbers < recipe.oldest)
}

#[cfg(test)]
mod tests {
    use super::super::{MKSQUASHFS, QEMU};
    use super::*;

    #[test]
    fn versions_are_read_from_real_answers() {
        let qemu = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\n\
                    Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project developers\n";
        assert_eq!(
            parse_version(qemu, QEMU.version_prefix).as_deref(),
            Some("7.2.22")
        );
        let mksquashfs = "mksquashfs version 4.5.1 (2022/03/17)\ncopyright (C) 2022 …\n";
        assert_eq!(
            parse_version(mksquashfs, MKSQUASHFS.version_prefix).as_deref(),
            Some("4.5.1")
        );
        assert_eq!(
            parse_version("QEMU emulator version new\n", QEMU.version_prefix),
            None
        );
        assert_eq!(parse_version("", QEMU.version_prefix), None);
        let registry = "/x/bin/docker-registry github.com/docker/distribution 2.8.2+ds1\n";
        assert_eq!(
            parse_version(registry, " github.com/docker/distribution ").as_deref(),
            Some("2.8.2+ds1")
        );
    }

    #[test]
    fn old_ones_are_told_from_new_ones() {
        for (version, old) in [
            ("7.1.9", true),
            ("7.2.0", false),
            ("10.0.2", false),
            ("6.9", true),
            ("x", true),
        ] {
            assert_eq!(is_old(&QEMU, version), old, "{version}");
        }
        for (version, old) in [
            ("4.4", true),
            ("4.5", false),
            ("4.6.1", false),
            ("4.5-git.1", false),
        ] {
            assert_eq!(is_old(&MKSQUASHFS, version), old, "{version}");
        }
    }

    #[test]
    fn a_requested_program_that_is_not_the_tool_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let error = requested(&QEMU, Path::new("/bin/true"), &cache).unwrap_err();
        assert!(matches!(error, ToolError::NoVersion { .. }), "{error}");
        let error = requested(&QEMU, Path::new("/nowhere/qemu"), &cache).unwrap_err();
        assert!(error.to_string().contains("/nowhere/qemu"), "{error}");
    }

    #[test]
    fn a_program_is_asked_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let program = folder.path().join("qemu");
        fs::copy("/proc/self/exe", &program).unwrap();
        let asked = std::cell::Cell::new(0);
        let ask = |program: &Path| {
            remembered(&QEMU, program, &cache, || {
                asked.set(asked.get() + 1);
                Ok(format!("10.0.{}", asked.get()))
            })
            .unwrap()
        };
        assert_eq!(ask(&program), "10.0.1");
        assert_eq!(ask(&program), "10.0.1");
        // As a package manager does it: another file of the same size and time.
        let times = fs::metadata(&program).unwrap();
        let newer = folder.path().join("newer");
        fs::copy(&program, &newer).unwrap();
        let file = fs::File::options().write(true).open(&newer).unwrap();
        file.set_modified(times.modified().unwrap()).unwrap();
        drop(file);
        fs::rename(&newer, &program).unwrap();
        assert_eq!(ask(&program), "10.0.2");
        assert_eq!(ask(&program), "10.0.2");

        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\nexec qemu \"$@\"\n").unwrap();
        assert_eq!(ask(&script), "10.0.3");
        assert_eq!(ask(&script), "10.0.4");
        // What failed is not kept.
        fs::rename(&program, folder.path().join("elsewhere")).unwrap();
        let refused = remembered(&QEMU, &folder.path().join("elsewhere"), &cache, || {
            version(
                &QEMU,
                &Tool {
                    program: "/nowhere/qemu".into(),
                    prefix_arguments: Vec::new(),
                    version: String::new(),
                    origin: String::new(),
                },
            )
        });
        assert!(refused.is_err());
        assert_eq!(ask(&folder.path().join("elsewhere")), "10.0.5");
    }
}
