//! `[[expect]]`: the words of it become a [`verdict::Expectation`].

use verdict::{Condition, ConditionError, Conditions, Expectation, ExpectedOutcome};

use crate::diagnostic::Located;
use crate::document::{Refusal, Table, Value};

/// An `[[expect]]`, with the places of the check names it speaks of: whether
/// there are such checks is known only once all checks of the image are.
pub(crate) struct ExpectEntry {
    /// None: every check.
    pub(crate) checks: Option<Vec<Located<String>>>,
    /// Without its check; none where there are mistakes in it.
    expectation: Option<Expectation>,
}

impl ExpectEntry {
    pub(crate) fn read(table: &Table<'_>) -> ExpectEntry {
        let checks = table.value("check").map(|value| checks(&value));
        let when = match table.value("when") {
            Some(value) => conditions(&value),
            None => Some(Conditions::default()),
        };
        let outcome = table
            .required("outcome", "\"SIGSEGV\"")
            .and_then(|value| value.parsed(outcome));
        let because = table.string("because").map(|because| because.value);
        table.finish();
        // Given but wrong is not the same as not given.
        let sound = !matches!(checks, Some(None));
        let expectation = match (when, outcome) {
            (Some(when), Some(outcome)) if sound => Some(Expectation {
                check: None,
                when,
                outcome,
                because,
            }),
            _ => None,
        };
        ExpectEntry {
            checks: checks.flatten(),
            expectation,
        }
    }

    /// One expectation for each check named.
    pub(crate) fn expectations(&self) -> Vec<Expectation> {
        let Some(expectation) = &self.expectation else {
            return Vec::new();
        };
        match &self.checks {
            None => vec![expectation.clone()],
            Some(checks) => checks
                .iter()
                .map(|check| Expectation {
                    check: Some(check.value.clone()),
                    ..expectation.clone()
                })
                .collect(),
        }
    }
}

/// A name or an array of names.
fn checks(value: &Value<'_>) -> Option<Vec<Located<String>>> {
    if !value.is_array() {
        return Some(vec![value.string()?]);
    }
    let names = value.strings()?;
    if names.is_empty() {
        value.refuse(
            Refusal::new("an expectation of no check")
                .hint("leave `check` out to speak of every check"),
        );
        return None;
    }
    Some(names)
}

/// `{ FACT = VALUE }`, or an array of values of which one must be.
fn conditions(value: &Value<'_>) -> Option<Conditions> {
    let facts = value.table("a table of facts")?;
    let mut conditions = Conditions::default();
    let mut sound = true;
    for (fact, value) in facts.entries() {
        let alternatives = if value.is_array() {
            value.elements("an array")?
        } else {
            vec![value.clone()]
        };
        let words: Option<Vec<Located<String>>> = alternatives.iter().map(Value::scalar).collect();
        let Some(words) = words else {
            sound = false;
            continue;
        };
        let texts: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
        match Condition::parse(&fact.value, &texts) {
            Ok(condition) => conditions.push(condition),
            Err(error) => {
                sound = false;
                let place = match &error {
                    ConditionError::UnknownFact { .. } => fact.place,
                    ConditionError::Value { index, .. } | ConditionError::Range { index, .. } => {
                        words[*index].place.clone()
                    }
                    ConditionError::NoValue { .. } => value.place(),
                };
                let mut refusal = Refusal::new(error.to_string());
                if let Some(hint) = error.hint() {
                    refusal = refusal.hint(hint);
                }
                facts.report(refusal.at(&place));
            }
        }
    }
    sound.then_some(conditions)
}

fn outcome(text: &str) -> Result<ExpectedOutcome, Refusal> {
    text.parse::<ExpectedOutcome>().map_err(|error| {
        let refusal = Refusal::new(error.to_string());
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    })
}
