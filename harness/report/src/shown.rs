//! Text from elsewhere, made fit to be shown: a guest's output may hold anything.

use std::fmt::Write;

/// One line without control characters: those that would move a cursor or colour
/// a terminal are shown as `\x1b`, line breaks as spaces.
pub(crate) fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.trim().chars() {
        match letter {
            '\n' | '\t' => shown.push(' '),
            '\r' => {}
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(control));
            }
            other => shown.push(other),
        }
    }
    shown
}

/// The last line that says something.
pub(crate) fn last_line(text: &str) -> Option<String> {
    text.lines().map(one_line).rfind(|line| !line.is_empty())
}

/// Milliseconds for people: `12 ms`, `3.4 s`, `2 min 05 s`.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!(
            "{} min {:02} s",
            milliseconds / 60_000,
            milliseconds % 60_000 / 1_000
        ),
    }
}

/// Bytes for people: `43.1 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if count >= unit {
            // Tenths, rounded down, in 128 bits: the product must not overflow.
            let tenths = u128::from(count) * 10 / u128::from(unit);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_colour_or_move_the_terminal() {
        assert_eq!(
            one_line("\u{1b}[31mred\u{7}\r\nnext\tcell\u{9b}"),
            "\\x1b[31mred\\x07 next cell\\x9b"
        );
        assert_eq!(last_line("one\ntwo\n\n \n").as_deref(), Some("two"));
        assert_eq!(last_line("\n"), None);
    }

    #[test]
    fn quantities() {
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(1_960), "1.9 s");
        assert_eq!(duration(125_000), "2 min 05 s");
        assert_eq!(bytes(1_023), "1023 bytes");
        assert_eq!(bytes(45_193_625), "43.0 MiB");
        assert_eq!(bytes(u64::MAX), "17179869183.9 GiB");
    }
}
