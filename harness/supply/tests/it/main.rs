//! The crate held against archives made in the test, served by a mirror on the
//! loopback that does what it should not.

mod archive;
mod broken_archives;
mod kernel_files;
mod oci;
mod openpgp;
mod repository;
mod rpm_repositories;
mod server;
mod signer;
mod transfers;
mod vendors;
mod working_archives;
