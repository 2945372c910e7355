//! Every message a mistake in a project's files can cause, word for word, with its
//! place and its mend.

mod checks;
mod expectations;
mod images;
mod kernels;
mod syntax;

use std::path::Path;
use std::sync::Arc;

use plan::{Project, SourceFile};

pub(crate) fn file(name: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile {
        name: name.into(),
        text: text.into(),
    })
}

pub(crate) fn resolve(
    kernels: &str,
    images: &[(&str, &str)],
    checks: &str,
) -> Result<Project, String> {
    let images: Vec<Arc<SourceFile>> = images
        .iter()
        .map(|(name, text)| file(&format!("images/{name}"), text))
        .collect();
    plan::resolve(
        Path::new("/project"),
        &file("kernels.toml", kernels),
        &images,
        Some(&file("images/checks.toml", checks)),
    )
    .map_err(|diagnostics| diagnostics.render(false))
}

pub(crate) const CHECKS: &str = "\
[[check]]
name = \"bash\"
command = [\"bash\", \"-c\", \"true\"]

[[check]]
name = \"ls\"
command = [\"ls\"]
";

pub(crate) fn kernels(text: &str) -> String {
    resolve(text, &[], CHECKS).unwrap_err()
}

pub(crate) fn image(text: &str) -> String {
    resolve("", &[("a.toml", text)], CHECKS).unwrap_err()
}

pub(crate) fn checks(text: &str) -> String {
    resolve("", &[], text).unwrap_err()
}
