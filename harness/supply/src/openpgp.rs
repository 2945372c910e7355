//! Signatures of archives.

/// Keys that signatures are checked against.
pub struct Keyring;
impl Keyring {
    /// Debian's archive keys, as shipped with the program.
    pub fn shipped() -> Result<Keyring, OpenPgpError> {
        todo!()
    }
    /// Keys from a binary keyring.
    pub fn from_bytes(bytes: &[u8]) -> Result<Keyring, OpenPgpError> {
        todo!()
    }
}
/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpError {}
