//! The published state: the files of `results/` that live in a repository.
//!
//! The same run and history give the same bytes: nothing here asks for the time,
//! the machine or an order that is not in the record.

use crate::{HistoryError, Run, history::History, history::Line, html, markdown, svg};

/// Where the history is, below the published folder.
pub const HISTORY: &str = "history";

/// A file of the published state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its path, below the published folder.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// The files a run becomes, `history` being what was published before; the run is
/// put into it, in place of itself where it was published already.
///
/// # Errors
/// When the run cannot stand in the history.
pub fn files(run: &Run, history: &mut History) -> Result<Vec<Published>, HistoryError> {
    history.put(Line::of(run)?);
    let json = run.to_json()?;
    let page = html::render(run, history.before(&run.run.id))?;
    let mut files = vec![
        ("README.md".to_owned(), readme(run)),
        ("index.html".to_owned(), page),
        ("latest.json".to_owned(), json),
        ("badge.svg".to_owned(), svg::badge(run)),
        ("heat-map.svg".to_owned(), svg::heat_map(run)),
    ];
    for (name, content) in history.months()? {
        files.push((format!("{HISTORY}/{name}"), content));
    }
    Ok(files
        .into_iter()
        .map(|(path, content)| Published { path, content })
        .collect())
}

fn readme(run: &Run) -> String {
    format!(
        "# The published table\n\n\
         ![{}](badge.svg)\n\n\
         Written by `matrix publish`; [index.html](index.html) is the same with every cell's \
         details, [latest.json](latest.json) the record it was made from.\n\n{}",
        "how the last run went",
        markdown::render_compact(run)
    )
}
