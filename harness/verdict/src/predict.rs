//! What is expected of a program on a kernel, from the program's files and the
//! kernel's facts alone.

use std::io;

use wire::Vsyscall;

use crate::elf::{KernelVersion, Machine};
use crate::survey::Survey;
use crate::userland::{self, Start, Userland};

/// What is known of a kernel without booting it, or from an earlier boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelTraits {
    /// Its version.
    pub version: Option<KernelVersion>,
    /// What a call into the vsyscall page meets.
    pub vsyscall: Option<Vsyscall>,
    /// 32-bit x86 programs are run.
    pub ia32: Option<bool>,
    /// x86-64 level of the CPU.
    pub cpu_level: Option<u8>,
    /// Where that is known from.
    pub known_from: String,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// In words that sort: `pass`, or the cause's name.
    pub class: &'static str,
    /// Why, one line.
    pub why: String,
    /// It must come so; otherwise it comes so if the program takes the path that
    /// leads there.
    pub certain: bool,
}

/// The class of what nothing speaks against.
pub const PASS: &str = "pass";

impl Prediction {
    fn must(class: &'static str, why: String) -> Self {
        Self {
            class,
            why,
            certain: true,
        }
    }

    /// It is expected to work.
    pub fn is_pass(&self) -> bool {
        self.class == PASS
    }
}

/// What is expected of a program: a path, or a word that PATH is searched for.
///
/// # Errors
/// When the image cannot be read.
pub fn predict(
    image: &dyn Userland,
    survey: &Survey,
    (word, path): (&str, &str),
    kernel: &KernelTraits,
) -> io::Result<Prediction> {
    let Some(program) = userland::program(image, word, path)? else {
        return Ok(Prediction::must(
            "missing-program",
            format!("the image has no {word}"),
        ));
    };
    let (file, elf) = match userland::start(image, &program)? {
        Start::Elf { path, elf } => (path, elf),
        Start::Missing { path, named_by } => {
            let class = match named_by {
                Some(_) => "missing-interpreter",
                None => "missing-program",
            };
            return Ok(Prediction::must(
                class,
                format!("{program} needs {path}, which is missing"),
            ));
        }
        Start::NoProgram { path, reason } => {
            return Ok(Prediction::must("exec-format", format!("{path}: {reason}")));
        }
    };
    match elf.machine {
        Machine::I386 if kernel.ia32 == Some(false) => {
            let why = format!("{file} is a 32-bit program, and the kernel runs none");
            return Ok(Prediction::must("no-ia32", why));
        }
        Machine::Other(_) => {
            let why = format!("{file} is for {}", elf.machine);
            return Ok(Prediction::must("exec-format", why));
        }
        Machine::I386 | Machine::X86_64 => {}
    }
    if let Some((user, library)) = survey.missing_library(&file) {
        let why = format!("{user} names {library}, which is nowhere in the image");
        return Ok(Prediction::must("missing-library", why));
    }
    Ok(
        by_notes(survey, &file, elf.interpreter.as_deref(), image, kernel)?
            .unwrap_or_else(|| by_page(survey, &file, kernel)),
    )
}

/// What the notes of all that is loaded ask for.
fn by_notes(
    survey: &Survey,
    file: &str,
    interpreter: Option<&str>,
    image: &dyn Userland,
    kernel: &KernelTraits,
) -> io::Result<Option<Prediction>> {
    let mut loaded: Vec<String> = survey.loaded(file).into_iter().map(str::to_owned).collect();
    if let Some(interpreter) = interpreter
        && let userland::Found::File { path, .. } = image.find(interpreter)?
    {
        loaded.push(path);
    }
    for path in &loaded {
        let Some(elf) = survey.files.get(path) else {
            continue;
        };
        if let (Some(least), Some(version)) = (elf.least_kernel, kernel.version)
            && least > version
        {
            let why = format!("{path} asks for Linux {least} and later");
            return Ok(Some(Prediction {
                // glibc looks at it up to 2.35; later ones and musl do not.
                certain: false,
                ..Prediction::must("kernel-too-old", why)
            }));
        }
        if let (Some(level), Some(has)) = (elf.level, kernel.cpu_level)
            && level > has
        {
            let why = format!("{path} is built for x86-64-v{level}, and the CPU is v{has}");
            return Ok(Some(Prediction::must("cpu-level", why)));
        }
    }
    Ok(None)
}

fn by_page(survey: &Survey, file: &str, kernel: &KernelTraits) -> Prediction {
    let reached = survey.reaches(file);
    if kernel.vsyscall == Some(Vsyscall::None) && !reached.is_empty() {
        let entries: Vec<String> = reached.iter().map(|entry| format!("{entry}()")).collect();
        return Prediction {
            class: "vsyscall-none",
            why: format!(
                "{file} can come to {} in the vsyscall page, which is off",
                entries.join(" and ")
            ),
            certain: false,
        };
    }
    Prediction {
        class: PASS,
        why: "nothing in its files speaks against it".to_owned(),
        certain: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Made;
    use crate::survey::survey;
    use crate::userland::InMemory;

    #[test]
    fn files_and_facts_decide() {
        let time = vec![0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0];
        let image = InMemory::default()
            .with("/bin/narrow", Made::i386().bytes())
            .with(
                "/bin/new",
                Made {
                    least_kernel: Some([6, 0, 0]),
                    ..Made::x86_64()
                }
                .bytes(),
            )
            .with(
                "/bin/v3",
                Made {
                    level: Some(0b100),
                    ..Made::x86_64()
                }
                .bytes(),
            )
            .with(
                "/bin/old",
                Made {
                    code: time,
                    ..Made::x86_64()
                }
                .bytes(),
            )
            .with("/bin/script", "#!/bin/gone\n");
        let survey = survey(&image).unwrap();
        let old = KernelTraits {
            version: Some(KernelVersion([5, 10, 0])),
            vsyscall: Some(Vsyscall::None),
            ia32: Some(false),
            cpu_level: Some(2),
            known_from: String::new(),
        };
        let new = KernelTraits {
            version: Some(KernelVersion([6, 12, 0])),
            vsyscall: Some(Vsyscall::Emulate),
            ia32: Some(true),
            cpu_level: Some(3),
            known_from: String::new(),
        };
        let unknown = KernelTraits::default();
        let class = |word, kernel| {
            predict(&image, &survey, (word, "/bin"), kernel)
                .unwrap()
                .class
        };
        for (word, on_old, on_new) in [
            ("narrow", "no-ia32", PASS),
            ("new", "kernel-too-old", PASS),
            ("v3", "cpu-level", PASS),
            ("old", "vsyscall-none", PASS),
            ("script", "missing-interpreter", "missing-interpreter"),
            ("gone", "missing-program", "missing-program"),
        ] {
            assert_eq!(
                (class(word, &old), class(word, &new)),
                (on_old, on_new),
                "{word}"
            );
            // Of what is not known nothing is expected.
            assert_eq!(class(word, &unknown), on_new, "{word}");
        }
    }
}
