//! A TOML document with the place of every value, read by hand.
//!
//! By hand and not by serde: serde stops at the first error and loses places in
//! unions such as `source` (a table or an array of tables; apt, rpm or path),
//! while a file with five mistakes should be told all five, each where it is.
//! What a table was asked for is also what its list of known keys is made of, so
//! the list in a message cannot be out of date.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Located, Place, SourceFile};
use crate::similar::{nearest, quoted_list};

/// A file being read, and what was found wrong in it so far.
pub(crate) struct Reader {
    file: Arc<SourceFile>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Reader {
    pub(crate) fn new(file: Arc<SourceFile>) -> Reader {
        Reader {
            file,
            diagnostics: RefCell::default(),
        }
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place {
            file: Arc::clone(&self.file),
            span,
        }
    }

    /// What was found wrong, in the order of the text.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut all = self.diagnostics.into_inner();
        all.sort_by_key(|diagnostic| diagnostic.place.span.start);
        all
    }

    /// Parses the file; `None` where it is no TOML, which is reported. Then
    /// nothing else is told of the file, as it would be guesswork.
    pub(crate) fn parse<'t>(&self, text: &'t str) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        for error in errors {
            let end = text.len();
            let span = error.span().unwrap_or(end..end);
            self.report(Diagnostic::new(error.message(), &self.place(span), ""));
        }
        None
    }

    /// The document's outermost table.
    pub(crate) fn root<'r>(&'r self, table: &'r DeTable<'r>, what: &'static str) -> Table<'r> {
        Table {
            reader: self,
            table,
            span: 0..0,
            what,
            known: RefCell::default(),
        }
    }
}

/// A table being read. Keys it was never asked for are unknown ones.
pub(crate) struct Table<'r> {
    reader: &'r Reader,
    table: &'r DeTable<'r>,
    span: Range<usize>,
    /// What it describes, with its article: `a kernel`.
    what: &'static str,
    known: RefCell<Vec<&'static str>>,
}

impl<'r> Table<'r> {
    pub(crate) fn place(&self) -> Place {
        self.reader.place(self.span.clone())
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.reader.report(diagnostic);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What it is called in messages from now on.
    pub(crate) fn describe(&mut self, what: &'static str) {
        self.what = what;
    }

    /// The value of `key`, which is a known key from now on.
    pub(crate) fn value(&self, key: &'static str) -> Option<Value<'r>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key).map(|value| Value {
            reader: self.reader,
            value,
            subject: format!("`{key}`"),
        })
    }

    /// The same, and its absence is reported.
    pub(crate) fn required(&self, key: &'static str, example: &str) -> Option<Value<'r>> {
        let value = self.value(key);
        if value.is_none() {
            self.report(
                Diagnostic::new(
                    format!("{} lacks `{key}`", self.what),
                    &self.place(),
                    format!("no `{key}` in here"),
                )
                .hint(format!("add `{key} = {example}`")),
            );
        }
        value
    }

    pub(crate) fn string(&self, key: &'static str) -> Option<Located<String>> {
        self.value(key)?.string()
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.value(key)?.boolean()
    }

    /// Every key with its value, in the order of the text; for tables whose keys
    /// are the user's own.
    pub(crate) fn entries(&self) -> Vec<(Located<String>, Value<'r>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                (
                    Located {
                        value: name.clone(),
                        place: self.reader.place(key.span()),
                    },
                    Value {
                        reader: self.reader,
                        value,
                        subject: format!("`{name}`"),
                    },
                )
            })
            .collect()
    }

    /// Reports every key the table was not asked for.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.entries() {
            if known.contains(&key.value.as_str()) {
                continue;
            }
            let list = format!("{} has {}", self.what, quoted_list(known.iter().copied()));
            let hint = match nearest(&key.value, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? {list}"),
                None => list,
            };
            self.report(
                Diagnostic::new(format!("unknown key `{}`", key.value), &key.place, "").hint(hint),
            );
        }
    }
}

/// Why a value cannot be, and the mend.
pub(crate) struct Refusal {
    message: String,
    hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Refusal {
        Refusal {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// Told of the value at `place`.
    pub(crate) fn at(self, place: &Place) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.message, place, "");
        diagnostic.hint = self.hint;
        diagnostic
    }

    /// `word` is none of `words`, which are all there are.
    pub(crate) fn unknown(kind: &str, word: &str, words: &[&str]) -> Refusal {
        let list = format!("there is {}", quoted_list(words.iter().copied()));
        let hint = match nearest(word, words.iter().copied()) {
            Some(near) if words.len() > 1 => format!("did you mean `{near}`? {list}"),
            Some(near) => format!("did you mean `{near}`?"),
            None => list,
        };
        Refusal::new(format!("unknown {kind} `{word}`")).hint(hint)
    }
}

/// A value being read.
#[derive(Clone)]
pub(crate) struct Value<'r> {
    reader: &'r Reader,
    value: &'r Spanned<DeValue<'r>>,
    /// What it is called in messages: `` `version` ``, an element of `` `checks` ``.
    subject: String,
}

impl<'r> Value<'r> {
    pub(crate) fn place(&self) -> Place {
        self.reader.place(self.value.span())
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.reader.report(diagnostic);
    }

    pub(crate) fn is_array(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Reports that the value has the wrong type; the mend is the same value in
    /// quotes or brackets, where those are what it lacks.
    fn wrong_type(&self, expected: &str) {
        let value = self.value.get_ref();
        let hint = match (expected, self.text()) {
            ("a string", Some(text)) if !value.is_array() && !value.is_table() => {
                Some(format!("write it in quotes: \"{text}\""))
            }
            ("an array of strings", Some(text)) if value.is_str() => {
                Some(format!("write it in brackets: [{text}]"))
            }
            _ => None,
        };
        self.wrong_type_with(expected, hint);
    }

    fn wrong_type_with(&self, expected: &str, hint: Option<String>) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let mut diagnostic = Diagnostic::new(
            format!("{} is {found}, not {expected}", self.subject),
            &self.place(),
            format!("expected {expected}"),
        );
        diagnostic.hint = hint;
        self.report(diagnostic);
    }

    /// As the file has it.
    fn text(&self) -> Option<&str> {
        self.reader.file.text.get(self.value.span())
    }

    pub(crate) fn string(&self) -> Option<Located<String>> {
        let Some(text) = self.value.get_ref().as_str() else {
            self.wrong_type("a string");
            return None;
        };
        Some(Located {
            value: text.to_owned(),
            place: self.place(),
        })
    }

    /// A string put through a rule; what the rule refuses is reported here.
    pub(crate) fn parsed<T>(&self, rule: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        let text = self.string()?;
        match rule(&text.value) {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.refuse(refusal);
                None
            }
        }
    }

    /// The same for an amount that is written with its unit, as in `"512MiB"`.
    pub(crate) fn amount<T>(
        &self,
        unit: &str,
        rule: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        if !self.value.get_ref().is_integer() {
            return self.parsed(rule);
        }
        let hint = self
            .text()
            .map(|text| format!("write it with its unit, in quotes: \"{text}{unit}\""));
        self.wrong_type_with("a string", hint);
        None
    }

    /// Reports that the value cannot be.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.report(refusal.at(&self.place()));
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let found = self.value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type("true or false");
        }
        found
    }

    /// A string, an integer or a boolean, as the text it stands for.
    pub(crate) fn scalar(&self) -> Option<Located<String>> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    // Too big for any switch; the text is what was meant.
                    Err(_) => number.as_str().to_owned(),
                }
            }
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type("a string");
                return None;
            }
        };
        Some(Located {
            value: text,
            place: self.place(),
        })
    }

    /// The elements of an array; a value of another type is reported with
    /// `expected`.
    pub(crate) fn elements(&self, expected: &str) -> Option<Vec<Value<'r>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.wrong_type(expected);
            return None;
        };
        let elements = array.iter().map(|value| Value {
            reader: self.reader,
            value,
            subject: format!("an element of {}", self.subject),
        });
        Some(elements.collect())
    }

    /// Elements that are strings; others are reported and left out.
    pub(crate) fn strings(&self) -> Option<Vec<Located<String>>> {
        let elements = self.elements("an array of strings")?;
        Some(elements.iter().filter_map(Value::string).collect())
    }

    pub(crate) fn table(&self, what: &'static str) -> Option<Table<'r>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table {
            reader: self.reader,
            table,
            span: self.value.span(),
            what,
            known: RefCell::default(),
        })
    }

    /// `[[key]]` tables; other elements are reported and left out.
    pub(crate) fn tables(&self, what: &'static str) -> Vec<Table<'r>> {
        if self.is_table() {
            let key = self.subject.trim_matches('`');
            let hint = format!("write [[{key}]] for [{key}]");
            self.wrong_type_with("an array of tables", Some(hint));
            return Vec::new();
        }
        self.elements("an array of tables")
            .unwrap_or_default()
            .iter()
            .filter_map(|element| element.table(what))
            .collect()
    }
}
