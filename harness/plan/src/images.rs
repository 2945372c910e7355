//! images/NAME.toml.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use globset::GlobBuilder;

use crate::checks::{ChecksFile, read_checks};
use crate::diagnostic::{Diagnostic, Located, SourceFile};
use crate::document::{Reader, Refusal, Table, Value};
use crate::expectation::ExpectEntry;
use crate::name::name;
use crate::quarantine::QuarantineEntry;
use crate::similar::{nearest, quoted_list};
use crate::source::image_sources;
use crate::{Check, CheckEntry, Given, Image, ImageEntry};

/// docker's own.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What one images/NAME.toml says, and what is wrong in it.
pub(crate) struct ImageFile {
    /// None where there are mistakes.
    pub(crate) image: Option<ImageEntry>,
    pub(crate) name: Option<Located<String>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads an image. Paths in it are relative to `project`; `shared` is
/// images/checks.toml.
pub(crate) fn parse(file: &Arc<SourceFile>, project: &Path, shared: &ChecksFile) -> ImageFile {
    let reader = Reader::new(Arc::clone(file));
    let mut name = None;
    let image = reader.parse(&file.text).and_then(|document| {
        let table = reader.root(&document, "an image");
        read(table, project, shared, &mut name)
    });
    let diagnostics = reader.finish();
    ImageFile {
        image: image.filter(|_| diagnostics.is_empty()),
        name,
        diagnostics,
    }
}

fn read(
    table: Table<'_>,
    project: &Path,
    shared: &ChecksFile,
    located: &mut Option<Located<String>>,
) -> Option<ImageEntry> {
    let named = table.required("name", "\"debian:12\"");
    let name = named.as_ref().and_then(|value| value.parsed(name));
    if let (Some(name), Some(value)) = (&name, &named) {
        *located = Some(Located {
            value: name.clone(),
            place: value.place(),
        });
    }
    let sources = image_sources(&table, project);
    let environment = environment(&table);
    let given = Given {
        environment: environment
            .as_ref()
            .map(|variables| variables.given.clone())
            .unwrap_or_default(),
        user: table.has("user"),
        directory: table.has("directory"),
    };
    let user = match table.value("user") {
        Some(value) => value.parsed(user),
        None => Some("0:0".into()),
    };
    let directory = match table.value("directory") {
        Some(value) => value.parsed(directory),
        None => Some("/".into()),
    };
    let listed = table.value("checks");
    let mut own_names = Vec::new();
    let own = table
        .value("check")
        .map_or_else(Vec::new, |value| read_checks(&value, &mut own_names));
    let expects: Vec<ExpectEntry> = table
        .value("expect")
        .map_or_else(Vec::new, |value| value.tables("an expectation"))
        .iter()
        .map(ExpectEntry::read)
        .collect();
    let tags = tags(&table);
    let quarantines: Vec<QuarantineEntry> = table
        .value("quarantine")
        .map_or_else(Vec::new, |value| value.tables("a quarantine"))
        .iter()
        .map(QuarantineEntry::read)
        .collect();
    let default = table.boolean("default").unwrap_or(true);
    let optional = table.boolean("optional").unwrap_or(false);
    let notes = table.string("notes").map(|notes| notes.value);
    table.finish();

    let available = Available {
        shared,
        own: &own,
        own_names: &own_names,
    };
    let rows = available.rows(listed.as_ref());
    if let (true, Some(named)) = (rows.is_empty() && available.all_sound(), &named) {
        named.report(
            Diagnostic::new("an image without any check", &named.place(), "")
                .hint("list some of checks.toml in `checks`, or write a [[check]]"),
        );
    }
    for check in expects
        .iter()
        .filter_map(|expect| expect.checks.as_ref())
        .flatten()
    {
        available.demand(check, &rows, &table);
    }
    for check in quarantines.iter().filter_map(|it| it.check.as_ref()) {
        available.demand(check, &rows, &table);
    }
    let on_demand = rows
        .iter()
        .filter(|row| !row.default)
        .map(|row| row.check.name.clone());
    Some(ImageEntry {
        default,
        on_demand: on_demand.collect(),
        tags: tags?,
        notes,
        image: Image {
            name: name?,
            sources,
            environment: environment?.all,
            user: user?,
            directory: directory?,
            checks: rows.iter().map(|row| row.check.clone()).collect(),
            expectations: expects.iter().flat_map(ExpectEntry::expectations).collect(),
            given,
            optional,
            quarantines: quarantines
                .into_iter()
                .filter_map(|it| it.quarantine)
                .collect(),
        },
    })
}

/// The checks an image can have.
struct Available<'a> {
    shared: &'a ChecksFile,
    own: &'a [CheckEntry],
    /// Also of those with mistakes.
    own_names: &'a [Located<String>],
}

/// A check of an image.
struct Row {
    check: Check,
    /// Run also where no check was asked for.
    default: bool,
}

impl Available<'_> {
    /// The image's rows: those listed, or all where there is no list; then those
    /// of its own that were not among them. Its own replace shared ones of the
    /// same name where they stand.
    fn rows(&self, listed: Option<&Value<'_>>) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        match listed.map(|value| value.elements("an array of strings")) {
            None => {
                for name in &self.shared.names {
                    self.add(&name.value, None, &mut rows);
                }
            }
            Some(elements) => {
                for element in elements.unwrap_or_default() {
                    self.add_matching(&element, &mut rows);
                }
            }
        }
        for name in self.own_names {
            self.add(&name.value, None, &mut rows);
        }
        rows
    }

    /// Adds what an element of `checks`, a name or a glob, stands for. What is
    /// listed is run by default, whatever checks.toml says.
    fn add_matching(&self, element: &Value<'_>, rows: &mut Vec<Row>) {
        let Some(text) = element.string() else {
            return;
        };
        let glob = match GlobBuilder::new(&text.value).build() {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                element.refuse(Refusal::new(format!(
                    "`{}` is not a glob: {}",
                    text.value,
                    error.kind()
                )));
                return;
            }
        };
        let mut matches = false;
        for name in self.names() {
            if glob.is_match(name) {
                matches = true;
                self.add(name, Some(true), rows);
                continue;
            }
            // One form of a check that runs under several profiles.
            for entry in self.forms(name) {
                if glob.is_match(&entry.check.name) {
                    matches = true;
                    push(entry, Some(true), rows);
                }
            }
        }
        if !matches && self.shared.readable {
            element.report(self.unknown(&text, "there is", self.names()));
        }
    }

    /// The check its file calls `name`, in each form it has.
    fn add(&self, name: &str, default: Option<bool>, rows: &mut Vec<Row>) {
        for entry in self.forms(name) {
            push(entry, default, rows);
        }
    }

    /// The image's own replaces a shared one whole. One with mistakes is found in
    /// neither; they were told where they are.
    fn forms<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s CheckEntry> {
        let is_own = self.own_names.iter().any(|own| own.value == name);
        let entries = if is_own {
            self.own
        } else {
            &self.shared.checks
        };
        entries
            .iter()
            .filter(move |entry| entry.check.given_name() == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.own_names.iter().filter(|own| {
            let shared = &self.shared.names;
            shared.iter().all(|shared| shared.value != own.value)
        });
        self.shared
            .names
            .iter()
            .chain(own)
            .map(|name| name.value.as_str())
    }

    /// Tells of a check that an expectation names and the image does not have.
    fn demand(&self, check: &Located<String>, rows: &[Row], image: &Table<'_>) {
        let is_row = rows.iter().any(|row| row.check.is_called(&check.value));
        // Named in a place that has mistakes of its own: those come first.
        let is_broken = self.names().any(|name| name == check.value) && !self.sound(&check.value);
        if !is_row && !is_broken && self.shared.readable {
            let names = rows.iter().map(|row| row.check.name.as_str());
            image.report(self.unknown(check, "this image has", names));
        }
    }

    /// No check has mistakes, so one that is not there is not there.
    fn all_sound(&self) -> bool {
        self.shared.readable && self.names().all(|name| self.sound(name))
    }

    fn sound(&self, name: &str) -> bool {
        let mut all = self.own.iter().chain(&self.shared.checks);
        all.any(|entry| entry.check.is_called(name))
    }

    fn unknown<'n>(
        &self,
        check: &Located<String>,
        lead: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Diagnostic {
        let names: Vec<&str> = names.collect();
        let list = format!("{lead} {}", quoted_list(names.iter().copied()));
        let hint = match nearest(&check.value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        };
        Diagnostic::new(format!("unknown check `{}`", check.value), &check.place, "").hint(hint)
    }
}

fn push(entry: &CheckEntry, default: Option<bool>, rows: &mut Vec<Row>) {
    if rows.iter().all(|row| row.check.name != entry.check.name) {
        rows.push(Row {
            check: entry.check.clone(),
            default: default.unwrap_or(entry.default),
        });
    }
}

/// `tags = { family = "rhel" }`: words to select images by.
fn tags(table: &Table<'_>) -> Option<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    let Some(value) = table.value("tags") else {
        return Some(tags);
    };
    let mut sound = true;
    for (key, value) in value.table("a table of tags")?.entries() {
        if let Err(refusal) = name(&key.value) {
            table.report(refusal.at(&key.place));
            sound = false;
        }
        match value.scalar() {
            Some(text) => {
                tags.insert(key.value, text.value);
            }
            None => sound = false,
        }
    }
    sound.then_some(tags)
}

/// The variables of an image's file.
struct Variables {
    /// As the file has them.
    given: Vec<(String, String)>,
    /// With the PATH that is always there.
    all: Vec<(String, String)>,
}

/// In the order of the file; PATH comes first unless the file places it.
fn environment(table: &Table<'_>) -> Option<Variables> {
    let mut variables = Vec::new();
    let mut sound = true;
    if let Some(value) = table.value("environment") {
        for (key, value) in value.table("a table of variables")?.entries() {
            if key.value.is_empty() || key.value.contains(['=', '\0']) {
                table.report(
                    Refusal::new(format!("`{}` cannot be a variable's name", key.value))
                        .at(&key.place),
                );
                sound = false;
            }
            match value.scalar() {
                Some(text) => variables.push((key.value, text.value)),
                None => sound = false,
            }
        }
    }
    let given = variables.clone();
    if variables.iter().all(|(name, _)| name != "PATH") {
        variables.insert(0, ("PATH".into(), DEFAULT_PATH.into()));
    }
    sound.then_some(Variables {
        given,
        all: variables,
    })
}

fn user(text: &str) -> Result<String, Refusal> {
    let parts: Vec<&str> = text.split(':').collect();
    let good = |part: &&str| !part.is_empty() && !part.contains(char::is_whitespace);
    if parts.len() <= 2 && parts.iter().all(good) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(format!("`{text}` is not a user")).hint("UID, UID:GID, NAME or NAME:GROUP"))
}

fn directory(text: &str) -> Result<String, Refusal> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(format!("`{text}` is not absolute"))
        .hint("the containers' working directory begins with a slash"))
}
