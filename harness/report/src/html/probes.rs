//! The table of probes: what the runtime does on each kernel.

use maud::{Markup, html};

use super::address;
use crate::{ProbeRecord, Run, grid::LACKING, probe_table::ProbeTable, shown::one_line};

/// Nothing where no probe was planned.
pub(super) fn section(run: &Run) -> Markup {
    if run.probes.is_empty() {
        return html! {};
    }
    let table = ProbeTable::of(run);
    let told: Vec<&ProbeRecord> = run
        .probes
        .iter()
        .filter(|record| record.outcome.detail().is_some())
        .collect();
    html! {
        section.probes {
            h2 #probes { "The runtime itself" }
            table aria-labelledby="probes" {
                thead {
                    tr {
                        td {}
                        @for kernel in &table.columns {
                            th scope="col" {
                                a href=(format!("#{}", address(&["kernel", kernel]))) { (one_line(kernel)) }
                            }
                        }
                    }
                }
                tbody {
                    @for (title, cells) in &table.rows {
                        tr {
                            th scope="row" { (one_line(title)) }
                            @for cell in cells { (datum(*cell)) }
                        }
                    }
                }
            }
            @if !told.is_empty() {
                details {
                    summary { "What was seen where it is no pass" }
                    ul {
                        @for record in told {
                            li {
                                (record.kernel) " × " (one_line(&record.title)) ": "
                                (record.outcome.label()) ": "
                                (one_line(record.outcome.detail().unwrap_or_default()))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn datum(record: Option<&ProbeRecord>) -> Markup {
    let (mark, label) = match record {
        Some(record) => (record.outcome.mark(), record.outcome.label()),
        None => (Some('?'), LACKING),
    };
    let class = match mark {
        None if label == "pass" => None,
        None => Some("f"),
        Some('!') => Some("u"),
        Some(_) => Some("n"),
    };
    html! {
        td class=[class] { @if let Some(mark) = mark { (mark) " " } (label) }
    }
}
