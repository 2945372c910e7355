//! Programs of others that this one is held against in tests and measurements.

use super::Recipe;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The registry everybody runs (distribution's `registry`).
    DockerRegistry,
    /// Copies images between registries, layouts and archives.
    Skopeo,
    /// Unpacks the images of an OCI layout.
    Umoci,
    /// Takes an image's disk apart again.
    Unsquashfs,
}

impl Peer {
    pub(super) fn recipe(self) -> &'static Recipe {
        match self {
            Self::DockerRegistry => &DOCKER_REGISTRY,
            Self::Skopeo => &SKOPEO,
            Self::Umoci => &UMOCI,
            Self::Unsquashfs => &UNSQUASHFS,
        }
    }
}

const DOCKER_REGISTRY: Recipe = Recipe {
    name: "docker-registry",
    program: "docker-registry",
    version_argument: "--version",
    version_prefix: " github.com/docker/distribution ",
    // The first that speaks the distribution specification's 1.0.
    oldest: (2, 8),
    oldest_text: "2.8",
    package: "docker-registry",
    packages: &["docker-registry"],
    place: |path| program(path, "docker-registry"),
    suite: "bookworm",
    data: &[],
};

const SKOPEO: Recipe = Recipe {
    name: "skopeo",
    program: "skopeo",
    version_argument: "--version",
    version_prefix: "skopeo version ",
    // The first that can keep the digests of a whole index.
    oldest: (1, 6),
    oldest_text: "1.6",
    package: "skopeo",
    packages: &["skopeo"],
    place: |path| program(path, "skopeo"),
    suite: "bookworm",
    data: &[],
};

const UMOCI: Recipe = Recipe {
    name: "umoci",
    program: "umoci",
    version_argument: "--version",
    version_prefix: "umoci version ",
    oldest: (0, 4),
    oldest_text: "0.4",
    package: "umoci",
    packages: &["umoci"],
    place: |path| program(path, "umoci"),
    suite: "bookworm",
    data: &[],
};

const UNSQUASHFS: Recipe = Recipe {
    name: "unsquashfs",
    program: "unsquashfs",
    version_argument: "-version",
    version_prefix: "unsquashfs version ",
    oldest: (4, 5),
    oldest_text: "4.5",
    package: "squashfs-tools",
    packages: &["squashfs-tools"],
    place: |path| program(path, "unsquashfs"),
    suite: "bookworm",
    data: &[],
};

/// The program itself is all that is kept of its package.
fn program(path: &str, name: &str) -> Option<String> {
    (path.strip_prefix("usr/bin/")? == name).then(|| format!("bin/{name}"))
}
