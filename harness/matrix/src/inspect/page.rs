//! The page about an image.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plan::Kernel;
use verdict::predict::{self, KernelTraits, Prediction};
use verdict::userland::DEFAULT_PATH;
use wire::Vsyscall;

use super::Inspected;
use super::kernels::Known;
use crate::error::Failure;

/// How many names are shown of a list.
const NAMED: usize = 8;

/// What an image is, and what is expected of it on these kernels.
pub(super) fn page(
    read: &Inspected<'_>,
    kernels: &[Kernel],
    known: &Known,
) -> Result<String, Failure> {
    let survey = &read.survey;
    let mut page = format!("{}\n", read.image.name);
    row(&mut page, "digest", &read.digest);
    if survey.libcs.is_empty() {
        row(&mut page, "C library", "none of its own");
    }
    for libc in &survey.libcs {
        let words = format!(
            "{} {} for {} ({})",
            libc.name, libc.version, libc.machine, libc.path
        );
        row(&mut page, "C library", &words);
    }
    let programs = survey.programs().count();
    let narrow: Vec<&str> = survey
        .programs()
        .filter(|(_, elf)| elf.narrow)
        .map(|(path, _)| path)
        .collect();
    row(
        &mut page,
        "programs",
        &format!("{programs}, of {} ELF files", survey.files.len()),
    );
    row(
        &mut page,
        "ABI notes",
        &survey.least_kernel().map_or_else(
            || "none: any kernel".to_owned(),
            |(path, least)| format!("Linux {least} and later ({path} asks for most)"),
        ),
    );
    row(
        &mut page,
        "CPU level",
        &survey.level().map_or_else(
            || "no note: x86-64-v1".to_owned(),
            |(path, level)| format!("x86-64-v{level} ({path} asks for most)"),
        ),
    );
    let mut users: Vec<String> = Vec::new();
    for (path, _) in survey.programs() {
        if !survey.reaches(path).is_empty() {
            users.push(path.to_owned());
        }
    }
    let files: Vec<String> = survey
        .page_files()
        .map(|(path, entries)| {
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            format!("{path} ({})", entries.join(", "))
        })
        .collect();
    row(
        &mut page,
        "vsyscall",
        &match files.is_empty() {
            true => "no file has an address of the page in its code".to_owned(),
            false => format!("addresses of the page are in {}", some(&files)),
        },
    );
    if !users.is_empty() {
        row(
            &mut page,
            "",
            &format!("{} programs can come to it: {}", users.len(), some(&users)),
        );
    }
    row(
        &mut page,
        "32-bit",
        &match narrow.is_empty() {
            true => "no programs".to_owned(),
            false => format!("{} programs: {}", narrow.len(), some(&narrow)),
        },
    );
    for (number, (path, interpreter)) in survey.interpreters.iter().enumerate() {
        let missing = match interpreter.present {
            true => "",
            false => ", which the image does not have",
        };
        row(
            &mut page,
            if number == 0 { "interpreters" } else { "" },
            &format!("{path}, of {} files{missing}", interpreter.users),
        );
    }
    for (path, reason) in &survey.damaged {
        row(&mut page, "damaged", &format!("{path}: {reason}"));
    }
    for packages in &survey.packages {
        row(
            &mut page,
            "packages",
            &match packages.installed.len() {
                0 => format!("{}: a database that is not read", packages.manager),
                count => format!(
                    "{}: {count}: {}",
                    packages.manager,
                    some(&packages.installed)
                ),
            },
        );
    }
    expected(&mut page, read, kernels, known)?;
    Ok(page)
}

/// What is expected of the image's checks, kernel by kernel.
fn expected(
    page: &mut String,
    read: &Inspected<'_>,
    kernels: &[Kernel],
    known: &Known,
) -> Result<(), Failure> {
    let _ = writeln!(page, "\n  expected, by its files alone");
    for kernel in kernels {
        let traits = known.of(kernel);
        // Checks of one and the same expectation stand together.
        let mut classes: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
        for check in &read.image.checks {
            let prediction = of_check(read, check, &traits)?;
            let certain = match prediction.certain || prediction.is_pass() {
                true => "",
                false => ", if it comes to that",
            };
            let why = format!("{}{certain}", prediction.why);
            classes
                .entry((prediction.class, why))
                .or_default()
                .push(&check.name);
        }
        let _ = writeln!(page, "    {:<24} {}", kernel.id, words(&traits));
        for ((class, why), checks) in classes {
            let _ = writeln!(page, "      {class}: {}: {why}", some(&checks));
        }
    }
    Ok(())
}

/// What is expected of a check: of the program it starts; what that starts in turn
/// is in no file.
pub(super) fn of_check(
    read: &Inspected<'_>,
    check: &plan::Check,
    kernel: &KernelTraits,
) -> Result<Prediction, Failure> {
    let path = read
        .image
        .environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(DEFAULT_PATH, |(_, path)| path);
    let word = check.command.first().map_or("", String::as_str);
    Ok(predict::predict(
        &read.files,
        &read.survey,
        (word, path),
        kernel,
    )?)
}

/// `vsyscall none, 32-bit programs, x86-64-v3; seen in run …`.
fn words(traits: &KernelTraits) -> String {
    let mut words = Vec::new();
    words.push(match traits.vsyscall {
        Some(Vsyscall::Emulate) => "vsyscall emulate".to_owned(),
        Some(Vsyscall::Xonly) => "vsyscall xonly".to_owned(),
        Some(Vsyscall::None) => "vsyscall none".to_owned(),
        None => "vsyscall not known".to_owned(),
    });
    words.push(match traits.ia32 {
        Some(true) => "32-bit programs run".to_owned(),
        Some(false) => "no 32-bit programs".to_owned(),
        None => "32-bit programs not known".to_owned(),
    });
    words.push(match traits.cpu_level {
        Some(level) => format!("x86-64-v{level}"),
        None => "CPU level not known".to_owned(),
    });
    format!("{} ({})", words.join(", "), traits.known_from)
}

fn some(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

fn row(page: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "  {name:<12} {value}");
}
