//! kernels.toml.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Located, SourceFile};
use crate::document::{Reader, Refusal, Table};
use crate::name::{name, variant_name};
use crate::settings::{self, SettingsPart};
use crate::source::kernel_sources;
use crate::{Kernel, KernelEntry, Variant, Version};

/// What kernels.toml says. Paths in it are relative to `project`; entries with
/// mistakes are left out, each mistake is told.
pub(crate) fn parse(file: &Arc<SourceFile>, project: &Path) -> (Vec<KernelEntry>, Vec<Diagnostic>) {
    let reader = Reader::new(Arc::clone(file));
    let mut entries = Vec::new();
    if let Some(document) = reader.parse(&file.text) {
        let root = reader.root(&document, "kernels.toml");
        let tables = root.value("kernel").map(|value| value.tables("a kernel"));
        let mut names: Vec<Located<String>> = Vec::new();
        for table in tables.unwrap_or_default() {
            entries.extend(entry(table, project, &mut names));
        }
        root.finish();
    }
    (entries, reader.finish())
}

fn entry(
    table: Table<'_>,
    project: &Path,
    names: &mut Vec<Located<String>>,
) -> Option<KernelEntry> {
    let written = table.required("version", "\"6.1\"");
    let version = written.as_ref().and_then(|value| value.parsed(version));
    let named = table.value("name");
    let id = match &named {
        Some(value) => value.parsed(name),
        // As written, so that 6.10 does not become 6.1.
        None => version
            .as_ref()
            .and_then(|_| written.as_ref()?.string())
            .map(|text| text.value),
    };
    if let (Some(id), Some(value)) = (&id, named.as_ref().or(written.as_ref())) {
        let place = value.place();
        match names.iter().find(|other| other.value == *id) {
            Some(other) => table.report(
                Diagnostic::new(
                    format!("two kernels are called `{id}`"),
                    &place,
                    "the second",
                )
                .related(&other.place, "the first")
                .hint("give one of them a `name`; without one a kernel is called by its version"),
            ),
            None => names.push(Located {
                value: id.clone(),
                place,
            }),
        }
    }
    let sources = kernel_sources(&table, project);
    let part = SettingsPart::read(&table);
    let settings = part.over(settings::defaults(version.as_ref()));
    let notes = table.string("notes").map(|notes| notes.value);
    let optional = table.boolean("optional").unwrap_or(false);
    let default = table.boolean("default").unwrap_or(true);
    let variants = table
        .value("variants")
        .and_then(|value| value.table("a table of variants"));
    table.finish();

    let kernel = id.map(|id| Kernel {
        id,
        version: written
            .and_then(|value| value.string())
            .map(|text| text.value),
        sources,
        settings,
        optional,
        notes,
    });
    let variants = variants.map_or_else(Vec::new, |table| read_variants(&table, kernel.as_ref()));
    Some(KernelEntry {
        version: version?,
        default,
        kernel: kernel.filter(|kernel| !kernel.sources.is_empty())?,
        variants,
    })
}

fn version(text: &str) -> Result<Version, Refusal> {
    text.parse::<Version>().map_err(|error| {
        Refusal::new(error.to_string()).hint("another name than the version's goes into `name`")
    })
}

/// Read also where the entry itself is wrong (`kernel` is none), for their own
/// mistakes.
fn read_variants(table: &Table<'_>, kernel: Option<&Kernel>) -> Vec<Variant> {
    let mut variants = Vec::new();
    for (key, value) in table.entries() {
        let name = match variant_name(&key.value) {
            Ok(name) => Some(name),
            Err(refusal) => {
                table.report(refusal.at(&key.place));
                None
            }
        };
        let Some(table) = value.table("a variant") else {
            continue;
        };
        let part = SettingsPart::read(&table);
        let default = table.boolean("default").unwrap_or(false);
        let notes = table.string("notes").map(|notes| notes.value);
        table.finish();
        if let (Some(name), Some(kernel)) = (name, kernel) {
            variants.push(Variant {
                default,
                kernel: Kernel {
                    id: format!("{}+{name}", kernel.id),
                    settings: part.over(kernel.settings.clone()),
                    notes: notes.or_else(|| kernel.notes.clone()),
                    ..kernel.clone()
                },
                name,
            });
        }
    }
    variants
}
