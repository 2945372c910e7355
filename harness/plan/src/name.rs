//! Names that selectors can spell: without the characters selectors are made of.

use crate::document::Refusal;

/// A kernel's or an image's name: `6.1`, `mine`, `debian:12-i386`.
pub(crate) fn name(text: &str) -> Result<String, Refusal> {
    rule(text, "._:-", "letters, digits and . _ : -")
}

/// A variant's name, which may be the words it stands for: `vsyscall=emulate`.
pub(crate) fn variant_name(text: &str) -> Result<String, Refusal> {
    rule(text, "._:=-", "letters, digits and . _ : = -")
}

fn rule(text: &str, marks: &str, allowed: &str) -> Result<String, Refusal> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || marks.contains(letter);
    if text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(good) {
        return Ok(text.to_owned());
    }
    Err(
        Refusal::new(format!("`{text}` cannot be a name")).hint(format!(
            "a name begins with a letter or digit and is made of {allowed}"
        )),
    )
}
