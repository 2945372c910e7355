//! The format of Release files, Packages indices and *.sources: stanzas of
//! `Field: value`, continued on lines that start with a blank.

/// The stanzas of a text, in order; empty ones are left out.
pub(crate) fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(['\n', '\r']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
            let (stanza, after) = rest.split_at(end);
            rest = after;
            if !stanza.trim().is_empty() {
                return Some(Stanza(stanza));
            }
        }
    })
}

/// One stanza.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stanza<'a>(&'a str);

impl<'a> Stanza<'a> {
    /// Its fields in order: the name, and the value with its continuation lines as
    /// they are. Lines that are no field are passed over. Comments are not known
    /// here: only configuration files have them, and strip them first.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let mut end = line_end(rest);
                while rest[end..].starts_with([' ', '\t']) {
                    end += line_end(&rest[end..]);
                }
                let (field, after) = rest.split_at(end);
                rest = after;
                if let Some((name, value)) = field.split_once(':') {
                    return Some((name.trim(), value.trim()));
                }
            }
            None
        })
    }

    /// The value of a field; names are compared without regard to case.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.fields()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Bytes of the first line with its line break.
fn line_end(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_fields_and_continuations() {
        let text = "\n\nPackage: a\nDepends: b,\n c\nEmpty:\n\n\n\nPackage: d\n";
        let stanzas: Vec<Stanza<'_>> = stanzas(text).collect();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].get("depends"), Some("b,\n c"));
        assert_eq!(stanzas[0].get("Empty"), Some(""));
        assert_eq!(stanzas[0].get("Nothing"), None);
        assert_eq!(stanzas[1].fields().collect::<Vec<_>>(), [("Package", "d")]);
    }
}
