//! `[[expect]]`: the words of it become a [`verdict::Expectation`].

use std::collections::BTreeMap;

use verdict::Expectation;

use crate::diagnostic::Located;
use crate::document::Table;

/// An `[[expect]]`, with the places of the check names it speaks of: whether
/// there are such checks is known only once all checks of the image are.
pub(crate) struct ExpectEntry {
    /// None: every check.
    pub(crate) checks: Option<Vec<Located<String>>>,
    /// Without its check.
    expectation: Expectation,
}

impl ExpectEntry {
    pub(crate) fn read(table: Table<'_>) -> Option<ExpectEntry> {
        let checks = table.value("check").map(|value| {
            if value.is_array() {
                value.strings()
            } else {
                value.string().map(|check| vec![check])
            }
        });
        let mut when = BTreeMap::new();
        let mut sound = true;
        if let Some(value) = table.value("when") {
            match value.table("a table of facts") {
                Some(facts) => {
                    for (key, value) in facts.entries() {
                        match value.scalar() {
                            Some(text) => {
                                when.insert(key.value, text.value);
                            }
                            None => sound = false,
                        }
                    }
                }
                None => sound = false,
            }
        }
        let outcome = table
            .required("outcome", "\"SIGSEGV\"")
            .and_then(|value| value.string());
        let because = table.string("because").map(|because| because.value);
        table.finish();
        let checks = match checks {
            Some(checks) => Some(checks?),
            None => None,
        };
        let outcome = outcome?.value;
        sound.then_some(ExpectEntry {
            checks,
            expectation: Expectation {
                check: None,
                when,
                outcome,
                because,
            },
        })
    }

    /// One expectation for each check named.
    pub(crate) fn expectations(&self) -> Vec<Expectation> {
        match &self.checks {
            None => vec![self.expectation.clone()],
            Some(checks) => checks
                .iter()
                .map(|check| Expectation {
                    check: Some(check.value.clone()),
                    ..self.expectation.clone()
                })
                .collect(),
        }
    }
}
