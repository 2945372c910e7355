//! Globs over names.

use globset::{GlobBuilder, GlobMatcher};

/// A name or a glob.
pub(crate) struct Pattern<'a> {
    text: &'a str,
    glob: Option<GlobMatcher>,
}

impl<'a> Pattern<'a> {
    /// # Errors
    ///
    /// Why it is no glob.
    pub(crate) fn new(text: &'a str) -> Result<Pattern<'a>, String> {
        let glob = if text.contains(['*', '?', '[', '{']) {
            let built = GlobBuilder::new(text).build();
            Some(
                built
                    .map_err(|error| error.kind().to_string())?
                    .compile_matcher(),
            )
        } else {
            None
        };
        Ok(Pattern { text, glob })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(name),
            None => self.text == name,
        }
    }
}
