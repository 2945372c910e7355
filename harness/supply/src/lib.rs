//! Where kernels, images and tools come from: verified and cached.

pub mod apt;
pub mod cache;
pub mod compression;
pub mod deb;
pub mod debian_root;
pub mod disk;
pub mod http;
pub mod image;
pub mod kernel;
pub mod mirror;
pub mod oci;
pub mod openpgp;
pub mod progress;
pub mod purpose;
pub mod rpm;
mod supply;
pub mod tools;
pub mod tree;

pub use self::rpm::{Rpm, RpmError};
pub use apt::{Apt, AptError, AptOptions, Package, Universe};
pub use cache::{Cache, CacheError, Entry, Key};
pub use disk::{Contents, ContentsError, Place};
pub use http::{Http, HttpError, HttpOptions};
pub use image::{ImageDisk, ImageError};
pub use kernel::{KernelError, KernelFiles};
pub use mirror::Mirrors;
pub use oci::{ImageConfig, OciError, Registries, Resolved};
pub use openpgp::{Keyring, OpenPgpError};
pub use progress::{Progress, Silent};
pub use supply::{
    KernelVersion, KernelVersions, Options, Reach, Standing, Stored, Supply, SupplyError,
    VersionOrder,
};
pub use tools::{Peer, Tool, ToolError};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "matrix runs on Linux on x86-64: its virtual machines are, and what it fetches is started here"
);
