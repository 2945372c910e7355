//! What a project holds and what a run will do, as tables for people.

use std::fmt;

use crate::{
    AptSource, AptSuite, Archive, Cgroup, Check, Image, ImageSource, Kernel, KernelSource, Plan,
    Project, Settings,
};

/// Notes are broken into lines of about this many characters.
const WIDTH: usize = 96;

/// A table of words, with something said below a row where there is something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// One word a column.
    pub headings: Vec<&'static str>,
    /// As many cells as headings each.
    pub rows: Vec<Row>,
}

/// A line of a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// An empty one says nothing.
    pub cells: Vec<String>,
    /// A sentence or two about it.
    pub notes: Option<String>,
}

impl Row {
    fn bare(cells: Vec<String>) -> Row {
        Row { cells, notes: None }
    }
}

/// Columns aligned with two spaces between them, notes indented below their row, no
/// space at a line's end.
impl fmt::Display for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| heading.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let aligned = |cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<String>>().join("  ");
            line.trim_end().to_owned()
        };
        let headings = &mut self.headings.iter().copied();
        writeln!(formatter, "{}", aligned(headings))?;
        for row in &self.rows {
            let cells = &mut row.cells.iter().map(String::as_str);
            writeln!(formatter, "{}", aligned(cells))?;
            for line in broken(row.notes.as_deref().unwrap_or_default()) {
                writeln!(formatter, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// Into lines, at spaces.
fn broken(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `matrix list kernels`: every entry and variant.
pub fn describe_kernels(project: &Project) -> Listing {
    let mut rows = Vec::new();
    for entry in &project.kernels {
        rows.push(kernel_row(&entry.kernel, entry.default));
        for variant in &entry.variants {
            let default = entry.default && variant.default;
            let mut row = kernel_row(&variant.kernel, default);
            // The entry's are said above.
            row.notes = row
                .notes
                .filter(|_| variant.kernel.notes != entry.kernel.notes);
            rows.push(row);
        }
    }
    Listing {
        headings: vec!["KERNEL", "DEFAULT", "SOURCE", "SETTINGS"],
        rows,
    }
}

fn kernel_row(kernel: &Kernel, default: bool) -> Row {
    Row {
        cells: vec![
            kernel.id.clone(),
            yes(default),
            joined(&kernel.sources),
            kernel.settings.to_string(),
        ],
        notes: kernel.notes.clone(),
    }
}

/// `matrix list images`: every image, with its checks; those that run only when
/// named are in parentheses.
pub fn describe_images(project: &Project) -> Listing {
    let rows = project.images.iter().map(|entry| {
        let checks = entry.image.checks.iter().map(|check| {
            if entry.on_demand.contains(&check.name) {
                format!("({})", check.shown())
            } else {
                check.shown()
            }
        });
        Row {
            cells: vec![
                entry.image.name.clone(),
                yes(entry.default),
                joined(&entry.image.sources),
                checks.collect::<Vec<String>>().join(" "),
            ],
            notes: entry.notes.clone(),
        }
    });
    Listing {
        headings: vec!["IMAGE", "DEFAULT", "SOURCE", "CHECKS"],
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
    let rows = forms.into_iter().map(|(check, notes, images)| Row {
        cells: vec![
            check.shown(),
            images.join(" "),
            check.stdout.clone().unwrap_or_default(),
            shortened(shell_words(&check.command)),
        ],
        notes: notes.cloned(),
    });
    Listing {
        headings: vec!["CHECK", "IMAGES", "STDOUT", "COMMAND"],
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
                Row::bare(vec![
                    kernel.id.clone(),
                    joined(&kernel.sources),
                    kernel.settings.to_string(),
                ])
            })
            .collect(),
    };
    let images = Listing {
        headings: vec!["IMAGE", "SOURCE", "CHECKS"],
        rows: plan
            .images
            .iter()
            .map(|image| {
                let checks = image.checks.iter().map(Check::shown);
                Row::bare(vec![
                    image.name.clone(),
                    joined(&image.sources),
                    checks.collect::<Vec<String>>().join(" "),
                ])
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

/// The beginning of a long command; the file has the rest.
fn shortened(text: String) -> String {
    const LONGEST: usize = 72;
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST - 1).collect();
    format!("{start}…")
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
        for (index, suite) in self.suites.iter().enumerate() {
            match (index, &suite.archive) {
                (0, _) => suite.fmt(formatter)?,
                // Its suites say themselves that they are of the security archive.
                (_, Archive::Debian | Archive::DebianSecurity) => {
                    write!(formatter, " + {}", suite.suite)?;
                }
                (_, Archive::Url(_)) => write!(formatter, " + {suite}")?,
            }
        }
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
            ImageSource::Oci(oci) => {
                write!(formatter, "{}", oci.reference)?;
                if oci.architecture != "amd64" {
                    write!(formatter, " {}", oci.architecture)?;
                }
                Ok(())
            }
            ImageSource::Archive(archive) => {
                archive.path.display().fmt(formatter)?;
                match &archive.image {
                    Some(image) => write!(formatter, " {image}"),
                    None => Ok(()),
                }
            }
            ImageSource::Daemon(daemon) => {
                write!(formatter, "{} {}", daemon.engine.program(), daemon.image)
            }
            ImageSource::Download(download) => formatter.write_str(&download.url),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_as_a_shell_needs_and_cut_when_long() {
        let words = ["sh", "-c", "echo 'a'", "", "x=1,y"].map(str::to_owned);
        assert_eq!(shell_words(&words), r"sh -c 'echo '\''a'\''' '' x=1,y");
        assert_eq!(shortened("é".repeat(72)), "é".repeat(72));
        assert_eq!(shortened("é".repeat(73)), format!("{}…", "é".repeat(71)));
    }

    #[test]
    fn notes_are_broken_at_spaces() {
        let long = "word ".repeat(40);
        let lines = broken(&long);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(lines.join(" "), long.trim_end());
        assert_eq!(broken(""), Vec::<String>::new());
    }
}
