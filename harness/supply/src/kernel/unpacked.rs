//! The form every unpacked kernel has in the cache:
//!
//! ```text
//! vmlinuz        the image, a bzImage or a vmlinux
//! config         its .config, where there is one
//! modules/       what would be /lib/modules/VERSION, where there is any
//! kernel.json    its release, and what its maker says of it
//! ```

use std::path::Path;

use fs_err as fs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{KernelError, KernelFiles, local};
use crate::cache::{Cache, Key};

pub(super) const IMAGE: &str = "vmlinuz";
pub(super) const CONFIG: &str = "config";
pub(super) const MODULES: &str = "modules";
const RECORD: &str = "kernel.json";

#[derive(Debug, Serialize, Deserialize)]
struct Record<T> {
    release: Option<String>,
    said: T,
}

/// The kernel of this key: from the cache, or made by `make`, which writes the files
/// into a folder that is there and says something that is kept with them. What it
/// came from, and the digest of that, are left to fill in.
pub(super) fn unpacked<T: Serialize + DeserializeOwned>(
    cache: &Cache,
    key: &Key,
    make: impl FnOnce(&Path) -> Result<T, KernelError>,
) -> Result<(KernelFiles, T), KernelError> {
    let root = cache.build("kernel", key, |root| {
        fs::create_dir_all(root)?;
        let said = make(root)?;
        let record = Record {
            release: local::inspect(&root.join(IMAGE))?.release,
            said,
        };
        let path = root.join(RECORD);
        let text = serde_json::to_vec_pretty(&record)
            .map_err(|_| KernelError::Record { path: path.clone() })?;
        fs::write(path, text)?;
        Ok::<_, KernelError>(())
    })?;
    let path = root.join(RECORD);
    let record: Record<T> = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(KernelError::Record { path })?;
    let there = |name: &str| Some(root.join(name)).filter(|path| path.exists());
    let files = KernelFiles {
        image: root.join(IMAGE),
        modules: there(MODULES),
        configuration: there(CONFIG),
        release: record.release,
        package: std::collections::BTreeMap::new(),
        digest: String::new(),
    };
    Ok((files, record.said))
}
