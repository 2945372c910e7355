//! What is wrong in a file, where, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A configuration file's text and the name people know it by.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the project: `images/debian-12.toml`.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A stretch of a [`SourceFile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte offsets into its text.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of the first character, both from 1; columns count
    /// characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let start = self.span.start.min(self.file.text.len());
        let before = &self.file.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// `file:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(formatter, "{}:{line}:{column}", self.file.name)
    }
}

/// A value with the place it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, one line.
    pub message: String,
    /// Where.
    pub place: Place,
    /// Said beside the place; may be empty.
    pub label: String,
    /// Other places it has to do with, possibly in another file.
    pub related: Vec<(Place, String)>,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(
        message: impl Into<String>,
        place: &Place,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            place: place.clone(),
            label: label.into(),
            related: Vec::new(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn related(mut self, place: &Place, label: impl Into<String>) -> Diagnostic {
        self.related.push((place.clone(), label.into()));
        self
    }

    fn group(&self) -> Group<'_> {
        let mut primary = self.snippet(&self.place).annotation(
            AnnotationKind::Primary
                .span(self.place.span.clone())
                .label(self.label.as_str()),
        );
        let mut elsewhere = Vec::new();
        for (place, label) in &self.related {
            let annotation = AnnotationKind::Context
                .span(place.span.clone())
                .label(label.as_str());
            if place.file == self.place.file {
                primary = primary.annotation(annotation);
            } else {
                elsewhere.push(self.snippet(place).annotation(annotation));
            }
        }
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .element(primary)
            .elements(elsewhere);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        group
    }

    fn snippet<'a, T: Clone>(&self, place: &'a Place) -> Snippet<'a, T> {
        Snippet::source(place.file.text.as_str()).path(place.file.name.as_str())
    }
}

/// Everything that is wrong in a project's files, in the order of the files.
/// Never empty as part of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// The text for people, with ANSI colours or without; one block per
    /// diagnostic, an empty line between two.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let blocks: Vec<String> = self
            .0
            .iter()
            .map(|diagnostic| renderer.render(&[diagnostic.group()]))
            .collect();
        blocks.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(span: Range<usize>) -> Place {
        Place {
            file: Arc::new(SourceFile {
                name: "kernels.toml".into(),
                text: "a = 1\nä = 2\n".into(),
            }),
            span,
        }
    }

    #[test]
    fn columns_count_characters_from_one() {
        assert_eq!(place(0..1).to_string(), "kernels.toml:1:1");
        // `ä` is two bytes.
        assert_eq!(place(11..12).to_string(), "kernels.toml:2:5");
        // Past the end: the last place, not a panic.
        assert_eq!(place(99..99).to_string(), "kernels.toml:3:1");
    }

    #[test]
    fn a_related_place_in_another_file_has_its_own_snippet() {
        let other = Place {
            file: Arc::new(SourceFile {
                name: "images/b.toml".into(),
                text: "name = \"x\"\n".into(),
            }),
            span: 7..10,
        };
        let text = Diagnostics(vec![
            Diagnostic::new("two of them", &place(4..5), "again here")
                .related(&other, "first here")
                .hint("rename one"),
        ])
        .render(false);
        assert_eq!(
            text,
            "\
error: two of them
 --> kernels.toml:1:5
  |
1 | a = 1
  |     ^ again here
  |
 ::: images/b.toml:1:8
  |
1 | name = \"x\"
  |        --- first here
  |
  = hint: rename one"
        );
    }

    #[test]
    fn colours_only_when_asked() {
        let all = Diagnostics(vec![Diagnostic::new("m", &place(0..1), "")]);
        assert!(!all.render(false).contains('\u{1b}'));
        assert!(all.render(true).contains('\u{1b}'));
    }
}
