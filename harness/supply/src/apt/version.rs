//! Debian's version numbers and their order (Debian policy 5.6.12).

/// A version number; ordered as Debian orders them.
#[derive(Clone, Debug)]
pub struct Version(String);
impl Version {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
