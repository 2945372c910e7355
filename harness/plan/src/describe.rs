//! What a project holds and what a run will do, as tables for people.

use std::fmt;

use crate::{
    AptSource, AptSuite, Archive, Cgroup, Check, Image, ImageSource, Kernel, KernelSource, Plan,
    Project, Settings,
};

/// A table of words: headings and rows of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// One word a column.
    pub headings: Vec<&'static str>,
    /// Cells; an empty one says nothing.
    pub rows: Vec<Vec<String>>,
}

/// Columns aligned with two spaces between them, no space at a line's end.
impl fmt::Display for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| heading.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = self.headings.iter().map(|heading| (*heading).to_owned());
        let mut lines = vec![headings.collect::<Vec<String>>()];
        lines.extend(self.rows.iter().cloned());
        for line in lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(formatter, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// `matrix list kernels`: every entry and variant.
pub fn describe_kernels(project: &Project) -> Listing {
    let mut rows = Vec::new();
    for entry in &project.kernels {
        rows.push(kernel_row(&entry.kernel, entry.default));
        for variant in &entry.variants {
            let default = entry.default && variant.default;
            let mut row = kernel_row(&variant.kernel, default);
            // The entry's are in the line above.
            if variant.kernel.notes == entry.kernel.notes {
                row.pop();
                row.push(String::new());
            }
            rows.push(row);
        }
    }
    Listing {
        headings: vec!["KERNEL", "DEFAULT", "SOURCE", "SETTINGS", "NOTES"],
        rows,
    }
}

fn kernel_row(kernel: &Kernel, default: bool) -> Vec<String> {
    vec![
        kernel.id.clone(),
        yes(default),
        joined(&kernel.sources),
        kernel.settings.to_string(),
        kernel.notes.clone().unwrap_or_default(),
    ]
}

/// `matrix list images`: every image, with its checks; those that run only when
/// named are in parentheses.
pub fn describe_images(project: &Project) -> Listing {
    let rows = project.images.iter().map(|entry| {
        let checks = entry.image.checks.iter().map(|check| {
            if entry.on_demand.contains(&check.name) {
                format!("({})", check.name)
            } else {
                check.name.clone()
            }
        });
        vec![
            entry.image.name.clone(),
            yes(entry.default),
            joined(&entry.image.sources),
            checks.collect::<Vec<String>>().join(" "),
            entry.notes.clone().unwrap_or_default(),
        ]
    });
    Listing {
        headings: vec!["IMAGE", "DEFAULT", "SOURCE", "CHECKS", "NOTES"],
        rows: rows.collect(),
    }
}

/// `matrix list checks`: every check, with the images that have it as it stands
/// there; a check that images have in several forms has several lines.
pub fn describe_checks(project: &Project) -> Listing {
    let mut forms: Vec<(&Check, Option<&String>, Vec<&str>)> = Vec::new();
    for entry in &project.checks {
        forms.push((&entry.check, entry.notes.as_ref(), Vec::new()));
    }
    for entry in &project.images {
        for check in &entry.image.checks {
            let name = entry.image.name.as_str();
            match forms.iter_mut().find(|(form, ..)| *form == check) {
                Some((_, _, images)) => images.push(name),
                None => forms.push((check, None, vec![name])),
            }
        }
    }
    let rows = forms.into_iter().map(|(check, notes, images)| {
        vec![
            check.name.clone(),
            images.join(" "),
            check.stdout.clone().unwrap_or_default(),
            shell_words(&check.command),
            notes.cloned().unwrap_or_default(),
        ]
    });
    Listing {
        headings: vec!["CHECK", "IMAGES", "STDOUT", "COMMAND", "NOTES"],
        rows: rows.collect(),
    }
}

/// `--dry-run`: the columns, the rows, and how many cells they make.
pub fn describe_plan(plan: &Plan) -> String {
    let kernels = Listing {
        headings: vec!["KERNEL", "SOURCE", "SETTINGS"],
        rows: plan
            .kernels
            .iter()
            .map(|kernel| {
                vec![
                    kernel.id.clone(),
                    joined(&kernel.sources),
                    kernel.settings.to_string(),
                ]
            })
            .collect(),
    };
    let images = Listing {
        headings: vec!["IMAGE", "SOURCE", "CHECKS"],
        rows: plan
            .images
            .iter()
            .map(|image| {
                let checks = image.checks.iter().map(|check| check.name.as_str());
                vec![
                    image.name.clone(),
                    joined(&image.sources),
                    checks.collect::<Vec<&str>>().join(" "),
                ]
            })
            .collect(),
    };
    let checks = plan.images.iter().map(|image| image.checks.len()).sum();
    format!(
        "{kernels}\n{images}\n{}, {}, {}: {}\n",
        counted(plan.kernels.len(), "kernel"),
        counted(plan.images.len(), "image"),
        counted(checks, "check"),
        counted(plan.cells().count(), "cell"),
    )
}

impl Plan {
    /// Every cell, kernel by kernel.
    pub fn cells(&self) -> impl Iterator<Item = (&Kernel, &Image, &Check)> {
        self.kernels.iter().flat_map(move |kernel| {
            let checks = self
                .images
                .iter()
                .flat_map(|image| image.checks.iter().map(move |check| (image, check)));
            checks.map(move |(image, check)| (kernel, image, check))
        })
    }
}

fn yes(truth: bool) -> String {
    if truth { "yes".into() } else { String::new() }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn joined(sources: &[impl fmt::Display]) -> String {
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    sources.join(", else ")
}

/// A command as a shell would take it.
fn shell_words(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=+:,%@".contains(letter);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<String>>().join(" ")
}

impl fmt::Display for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Archive::Debian => "debian",
            Archive::DebianSecurity => "debian-security",
            Archive::Url(url) => url,
        })
    }
}

impl fmt::Display for AptSuite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.archive, self.suite)
    }
}

impl fmt::Display for AptSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suites: Vec<String> = self.suites.iter().map(ToString::to_string).collect();
        write!(formatter, "{}", suites.join(" + "))?;
        if self.architecture != "amd64" {
            write!(formatter, " {}", self.architecture)?;
        }
        write!(formatter, ": {}", self.packages.join(" "))
    }
}

impl fmt::Display for KernelSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelSource::Apt(apt) => apt.fmt(formatter),
            KernelSource::Rpm { base, package } => write!(formatter, "{base}: {package}"),
            KernelSource::Path { kernel, .. } => kernel.display().fmt(formatter),
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Apt(apt) => apt.fmt(formatter),
            ImageSource::Directory(path) | ImageSource::Tarball(path) => {
                path.display().fmt(formatter)
            }
            ImageSource::Program(program) => write!(formatter, "program {program}"),
        }
    }
}

impl fmt::Display for Cgroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Cgroup::V1 => "v1",
            Cgroup::V2 => "v2",
            Cgroup::Hybrid => "hybrid",
        })
    }
}

/// As kernels.toml would say it, what is usual left out but for the cgroup layout,
/// whose default depends on the version.
impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cgroup {}", self.cgroup)?;
        if !self.command_line.is_empty() {
            write!(formatter, ", cmdline {}", self.command_line.join(" "))?;
        }
        if self.cpu != "max" {
            write!(formatter, ", cpu {}", self.cpu)?;
        }
        if self.memory != 1024 {
            write!(formatter, ", memory {}MiB", self.memory)?;
        }
        for (switch, value) in &self.sysctl {
            write!(formatter, ", sysctl {switch}={value}")?;
        }
        Ok(())
    }
}
