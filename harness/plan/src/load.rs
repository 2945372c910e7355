//! From the files of a project to what they mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use crate::checks::{self, ChecksFile};
use crate::diagnostic::{Diagnostic, Diagnostics, Located, SourceFile};
use crate::error::PlanError;
use crate::{Project, images, kernels};

/// What makes a folder a project.
const KERNELS: &str = "kernels.toml";

/// The nearest folder upwards from `from` that has a kernels.toml.
///
/// # Errors
///
/// [`PlanError::NoProject`] where there is none up to the root.
pub fn find_project(from: &Path) -> Result<PathBuf, PlanError> {
    from.ancestors()
        .find(|folder| folder.join(KERNELS).is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| PlanError::NoProject {
            from: from.to_path_buf(),
        })
}

/// Reads kernels.toml, images/*.toml and images/checks.toml of a project.
///
/// A project without images/ has no images, one without checks.toml no shared
/// checks.
///
/// # Errors
///
/// [`PlanError::Read`] for a file that cannot be read, [`PlanError::Invalid`] with
/// everything that is wrong in any of them.
pub fn load(project: &Path) -> Result<Project, PlanError> {
    let kernels = read(project, Path::new(KERNELS))?;
    let folder = project.join("images");
    let mut images = Vec::new();
    let mut checks = None;
    for name in toml_files(&folder)? {
        let file = read(project, &Path::new("images").join(&name))?;
        if name == "checks.toml" {
            checks = Some(file);
        } else {
            images.push(file);
        }
    }
    resolve(project, &kernels, &images, checks.as_ref()).map_err(PlanError::Invalid)
}

/// Names of the .toml files in a folder, sorted without their ending, so that
/// debian-12 comes before debian-12-i386; none where there is no folder.
fn toml_files(folder: &Path) -> Result<Vec<String>, PlanError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PlanError::Read { source }),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| PlanError::Read { source })?;
        // A name that is no UTF-8 has no place in a message; read as such it fails.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_by(|left, right| {
        let stem = |name: &str| name.trim_end_matches(".toml").to_owned();
        stem(left).cmp(&stem(right))
    });
    Ok(names)
}

fn read(project: &Path, name: &Path) -> Result<Arc<SourceFile>, PlanError> {
    let text =
        fs::read_to_string(project.join(name)).map_err(|source| PlanError::Read { source })?;
    Ok(Arc::new(SourceFile {
        name: name.display().to_string(),
        text,
    }))
}

/// The same without a file system: `images` without checks.toml.
///
/// # Errors
///
/// Everything that is wrong in any of the files, in their order.
pub fn resolve(
    root: &Path,
    kernels: &Arc<SourceFile>,
    images: &[Arc<SourceFile>],
    checks: Option<&Arc<SourceFile>>,
) -> Result<Project, Diagnostics> {
    let (kernels, mut diagnostics) = kernels::parse(kernels, root);
    let shared = checks.map_or_else(
        || ChecksFile {
            checks: Vec::new(),
            names: Vec::new(),
            readable: true,
            diagnostics: Vec::new(),
        },
        checks::parse,
    );
    let mut entries = Vec::new();
    let mut names: Vec<Located<String>> = Vec::new();
    let mut of_images = Vec::new();
    for file in images {
        let image = images::parse(file, root, &shared);
        of_images.extend(image.diagnostics);
        entries.extend(image.image);
        let Some(name) = image.name else {
            continue;
        };
        match names.iter().find(|other| other.value == name.value) {
            Some(other) => of_images.push(
                Diagnostic::new(
                    format!("two images are called `{}`", name.value),
                    &name.place,
                    "the second",
                )
                .related(&other.place, "the first"),
            ),
            None => names.push(name),
        }
    }
    diagnostics.extend(shared.diagnostics);
    diagnostics.extend(of_images);
    if !diagnostics.is_empty() {
        return Err(Diagnostics(diagnostics));
    }
    Ok(Project {
        root: root.to_path_buf(),
        kernels,
        images: entries,
        checks: shared.checks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\n";

    #[test]
    fn the_nearest_project_upwards_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b/c");
        fs::create_dir_all(&inner).unwrap();
        fs::write(folder.path().join(KERNELS), "").unwrap();
        fs::write(folder.path().join("a/b").join(KERNELS), "").unwrap();
        assert_eq!(find_project(&inner).unwrap(), folder.path().join("a/b"));
        let other = folder.path().join("a");
        assert_eq!(find_project(&other).unwrap(), folder.path());
        let error = find_project(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.starts_with("no kernels.toml in /proc or"), "{error}");
    }

    #[test]
    fn images_and_checks_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KERNELS), KERNEL).unwrap();
        let project = load(folder.path()).unwrap();
        assert_eq!(project.kernels.len(), 1);
        assert_eq!((project.images.len(), project.checks.len()), (0, 0));
    }

    #[test]
    fn only_toml_files_are_images_and_checks_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        fs::create_dir(&images).unwrap();
        fs::write(folder.path().join(KERNELS), KERNEL).unwrap();
        let check = "[[check]]\nname = \"ls\"\ncommand = [\"ls\"]\n";
        fs::write(images.join("checks.toml"), check).unwrap();
        for name in ["b", "a-1", "a"] {
            let text = format!("name = \"{name}\"\nsource = {{ directory = \"{name}\" }}\n");
            fs::write(images.join(format!("{name}.toml")), text).unwrap();
        }
        for name in [".c.toml", "README.md", "d.toml~"] {
            fs::write(images.join(name), "not for us").unwrap();
        }
        let project = load(folder.path()).unwrap();
        let names: Vec<&str> = project
            .images
            .iter()
            .map(|entry| entry.image.name.as_str())
            .collect();
        assert_eq!(names, ["a", "a-1", "b"]);
        assert_eq!(project.checks.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("kernels.toml"), "{error}");

        fs::write(folder.path().join(KERNELS), b"\xff\xfe").unwrap();
        let error = load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("kernels.toml"), "{error}");
        assert!(error.contains("UTF-8"), "{error}");
    }
}
