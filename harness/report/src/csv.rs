//! One line per cell, as RFC 4180 has it: for spreadsheets and data frames.

use std::borrow::Cow;

use crate::Run;

/// The columns, in order.
const HEADER: &str = "kernel,release,image,check,runtime,outcome,code,label,expected,verdict,\
                      cause,reason,attempts,duration_ms";

/// Every planned cell, one that never ran included: its `outcome` is `not-run`,
/// its `code` and `duration_ms` are empty, `reason` says why.
pub fn render(run: &Run) -> String {
    let mut text = format!("{HEADER}\r\n");
    for cell in &run.cells {
        let release = run
            .kernel(&cell.kernel)
            .and_then(|kernel| kernel.release.as_deref());
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let fields: [Option<Cow<'_, str>>; 14] = [
            Some(Cow::from(&cell.kernel)),
            release.map(Cow::from),
            Some(Cow::from(&cell.image)),
            Some(Cow::from(&cell.check)),
            Some(Cow::from(&cell.runtime)),
            Some(Cow::from(cell.outcome.kind().name())),
            number(cell.outcome.code().map(u64::from)).map(Cow::from),
            Some(cell.outcome.label()),
            cell.expected.as_deref().map(Cow::from),
            Some(Cow::from(cell.verdict.name())),
            cell.cause.as_ref().map(|cause| Cow::from(&cause.name)),
            cell.outcome
                .detail()
                .map(|detail| Cow::from(detail.to_string())),
            Some(Cow::from(cell.attempts.len().to_string())),
            number(cell.duration_ms).map(Cow::from),
        ];
        let line: Vec<Cow<'_, str>> = fields
            .into_iter()
            .map(|field| quoted(field.unwrap_or_default()))
            .collect();
        text.push_str(&line.join(","));
        text.push_str("\r\n");
    }
    text
}

/// In quotes where a reader would split it, and where a spreadsheet would take it
/// for a formula: what a guest wrote must not be run by who opens the file.
fn quoted(field: Cow<'_, str>) -> Cow<'_, str> {
    let field = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::from(format!("'{field}"))
    } else {
        field
    };
    if field.contains(['"', ',', '\r', '\n']) {
        Cow::from(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_can_neither_split_its_line_nor_be_a_formula() {
        for (field, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=cmd()", "'=cmd()"),
            ("", ""),
        ] {
            assert_eq!(quoted(Cow::from(field)), written);
        }
    }
}
