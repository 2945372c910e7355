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
            10 + 4,
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

/// The runs before the recorded one: the same, but with one cell better.
fn past() -> Vec<report::history::Line> {
    let mut before = recorded::run();
    before.run.id = "2026-11-23T12-42-09Z-1".into();
    before.run.started = "2026-11-23T12:42:09Z".into();
    let cell = before
        .cells
        .iter_mut()
        .find(|cell| cell.verdict == verdict::Verdict::UnexpectedFailure)
        .unwrap();
    cell.outcome = verdict::Outcome::Pass;
    cell.verdict = verdict::Verdict::Expected;
    vec![report::history::Line::of(&before).unwrap()]
}

#[test]
fn every_published_format() {
    let run = recorded::run();
    assert_data_eq!(
        report::markdown::render_compact(&run),
        file!["golden/compact.md"].raw()
    );
    assert_data_eq!(
        report::junit::render(&run).unwrap(),
        file!["golden/junit.xml"].raw()
    );
    assert_data_eq!(report::ktap::render(&run), file!["golden/ktap.txt"].raw());
    assert_data_eq!(report::csv::render(&run), file!["golden/cells.csv"].raw());
    assert_data_eq!(report::svg::badge(&run), file!["golden/badge.svg"].raw());
    assert_data_eq!(
        report::svg::heat_map(&run),
        file!["golden/heat-map.svg"].raw()
    );
    assert_data_eq!(
        report::github::annotations(&run),
        file!["golden/annotations.txt"].raw()
    );
    assert_data_eq!(
        report::html::render(&run, &past()).unwrap(),
        file!["golden/index.html"].raw()
    );
}

#[test]
fn a_cell_that_never_ran_looks_like_no_pass_in_any_format() {
    // Nothing has run: whatever says `pass`, `ok` or green lies.
    let run = recorded::planned();
    let junit = report::junit::render(&run).unwrap();
    assert_eq!(junit.matches("<error").count(), run.cells.len(), "{junit}");
    let ktap = report::ktap::render(&run);
    assert!(
        ktap.lines()
            .all(|line| !line.trim_start().starts_with("ok ")),
        "{ktap}"
    );
    let csv = report::csv::render(&run);
    assert_eq!(csv.matches(",not-run,").count(), 2 * run.cells.len());
    assert!(!csv.contains("pass"), "{csv}");
    assert!(!report::svg::badge(&run).contains("#1a7f37"));
    let map = report::svg::heat_map(&run);
    assert_eq!(
        map.matches("fill=\"none\"").count(),
        run.kernels.len() * run.images.len()
    );
    let page = report::html::render(&run, &[]).unwrap();
    let table = &page[page.find("<section").unwrap()..page.find("<dialog").unwrap()];
    assert!(!table.contains("<td>pass"), "{table}");
    assert_eq!(
        table.matches("class=\"n not-run\"").count(),
        run.cells.len()
    );
}

#[test]
fn what_the_record_lacks_looks_like_no_pass_either() {
    let mut run = recorded::run();
    let gone = run.cells.remove(0);
    assert!(gone.outcome.is_pass());
    let before = recorded::run();
    let count = |text: String, word: &str| text.matches(word).count();
    let lacking = |render: &dyn Fn(&report::Run) -> String, word: &str| {
        (count(render(&before), word), count(render(&run), word))
    };
    assert_eq!(
        lacking(&|run| report::junit::render(run).unwrap(), "lacking").1,
        1
    );
    assert_eq!(lacking(&report::ktap::render, "# ERROR lacking").1, 1);
    assert_eq!(lacking(&report::markdown::render_compact, "? lacking").1, 2);
    assert_eq!(
        lacking(
            &|run| report::html::render(run, &[]).unwrap(),
            "class=\"n lacking\""
        ),
        (0, 1)
    );
    let line = report::history::Line::of(&run).unwrap();
    let (_, outcome) = line.cells().find(|(id, _)| *id == gone.id()).unwrap();
    assert_eq!(outcome, None);
}

#[test]
fn a_guest_cannot_break_out_of_the_page() {
    let mut run = recorded::run();
    let evil = "</script><script>alert(1)</script><!--\"'&";
    for cell in &mut run.cells {
        for attempt in &mut cell.attempts {
            attempt.stdout = evil.into();
            attempt.kernel_log = vec![evil.into()];
        }
    }
    run.kernels[0].reason = Some(evil.into());
    let page = report::html::render(&run, &[]).unwrap();
    assert!(!page.contains("<script>alert"), "{page}");
    assert_eq!(page.matches("<!--").count(), 0);
    for (format, text) in [
        ("junit", report::junit::render(&run).unwrap()),
        ("svg", report::svg::heat_map(&run)),
    ] {
        assert!(!text.contains("<script>alert"), "{format}: {text}");
    }
}
