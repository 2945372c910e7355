//! The Debian mirror this machine should use.
