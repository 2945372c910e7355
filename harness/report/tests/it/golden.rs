//! The recorded run in every format, held against files. `SNAPSHOTS=overwrite
//! cargo test -p report` writes them anew.

use report::{plain_line, text};
use snapbox::{assert_data_eq, file};

use crate::recorded;

#[test]
fn results_json() {
    let json = serde_json::to_string_pretty(&recorded::run()).unwrap();
    assert_data_eq!(json + "\n", file!["golden/results.json"].raw());
}

#[test]
fn the_table_in_markdown() {
    let page = report::markdown::render(&recorded::run());
    assert_data_eq!(page, file!["golden/table.md"].raw());
}

#[test]
fn the_table_for_terminals() {
    let page = text::render(&recorded::run(), text::Options::default());
    assert_data_eq!(page, file!["golden/table.txt"].raw());
}

#[test]
fn the_table_for_a_narrow_terminal_in_colour() {
    let options = text::Options {
        width: Some(60),
        colour: true,
    };
    let page = text::render(&recorded::run(), options);
    assert_data_eq!(page, file!["golden/table-narrow-colour.txt"].raw());
}

#[test]
fn the_plain_log() {
    let log: String = recorded::events()
        .iter()
        .filter_map(plain_line)
        .map(|line| line + "\n")
        .collect();
    assert_data_eq!(log, file!["golden/log.txt"].raw());
}

#[test]
fn colour_adds_nothing_but_colour() {
    let run = recorded::run();
    let plain = text::render(&run, text::Options::default());
    let colour = text::render(
        &run,
        text::Options {
            width: None,
            colour: true,
        },
    );
    assert_ne!(plain, colour);
    let mut stripped = String::new();
    let mut rest = colour.as_str();
    while let Some(start) = rest.find('\u{1b}') {
        stripped.push_str(&rest[..start]);
        let end = rest[start..].find('m').unwrap();
        rest = &rest[start + end + 1..];
    }
    stripped.push_str(rest);
    assert_eq!(stripped, plain);
}

#[test]
fn a_split_table_keeps_every_cell_and_its_width() {
    use unicode_width::UnicodeWidthStr;
    let run = recorded::run();
    for width in [1, 40, 50, 60, 72, 80, 200] {
        let page = text::render(
            &run,
            text::Options {
                width: Some(width),
                colour: false,
            },
        );
        for kernel in recorded::KERNELS {
            assert!(page.contains(kernel), "{width}: {kernel}");
        }
        let marks = |mark: &str| page.matches(mark).count();
        // Rows of each part, and a cell for each kernel.
        assert_eq!(marks("lacking"), 0);
        let table = page.split("! not as expected").next().unwrap();
        assert_eq!(table.matches("SIGSEGV 139").count(), 2, "{width}\n{table}");
        assert_eq!(
            table.matches("- not run").count(),
            11 + 4,
            "{width}\n{table}"
        );
        if width >= 50 {
            for line in table.lines().skip(2) {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
    }
}

#[test]
fn a_cell_that_the_record_lacks_is_shown_as_lacking() {
    let mut run = recorded::run();
    run.cells.retain(|cell| cell.check != "bash");
    for page in [
        text::render(&run, text::Options::default()),
        report::markdown::render(&run),
    ] {
        assert_eq!(page.matches("? lacking").count(), 6, "{page}");
        assert!(page.contains("the record lacks this cell"));
    }
}
