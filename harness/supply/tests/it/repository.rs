//! An RPM repository made in the test, a mirror that serves it, and who asks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use plan::{KernelSource, RpmSource};
use rpm::{
    BuildConfig, CompressionWithLevel, FileOptions, Header, HeaderEntry, IndexData,
    IndexSignatureTag, IndexTag, Package, PackageBuilder,
};
use supply::{KernelFiles, Options, Supply};

use crate::archive::{Events, gzip, sha256};
use crate::server::{Reply, Server};
use crate::signer::Signer;

pub(crate) const V: &str = "5.14.0-503.el9.x86_64";

/// The head of a bzImage as boot.rst lays it out: enough to be told from other files.
pub(crate) fn bz_image(release: &str) -> Vec<u8> {
    let mut image = vec![0; 0x4000];
    image[..2].copy_from_slice(b"MZ");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x211] = 1;
    image[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
    let text = format!("{release} (builder@host) #1 SMP\0");
    image[0x3200..0x3200 + text.len()].copy_from_slice(text.as_bytes());
    image
}

/// A package of these files.
pub(crate) fn package(
    name: &str,
    version: &str,
    files: &[(&str, &[u8])],
    compression: CompressionWithLevel,
) -> Package {
    let (version, release) = version.split_once('-').unwrap();
    let mut builder = PackageBuilder::new(name, version, "GPL-2.0", "x86_64", "made in a test");
    builder
        .release(release)
        .using_config(BuildConfig::v4().compression(compression));
    for (path, content) in files {
        builder
            .with_file_contents(*content, FileOptions::new(*path))
            .unwrap();
    }
    builder.build().unwrap()
}

/// The same package with this signature of its header.
pub(crate) fn signed(package: &Package, sign: impl Fn(&[u8]) -> Vec<u8>) -> Package {
    let mut package = package.clone();
    let header = package.header_bytes().unwrap();
    let digest = |tag: IndexSignatureTag, text: String| {
        HeaderEntry::new(tag as u32, IndexData::StringTag(text))
    };
    let entries = [
        HeaderEntry::new(
            IndexSignatureTag::RPMSIGTAG_RSA as u32,
            IndexData::Bin(sign(&header)),
        ),
        digest(IndexSignatureTag::RPMSIGTAG_SHA256, sha256(&header)),
    ];
    package.metadata.signature =
        Header::from_entries(entries, IndexSignatureTag::HEADER_SIGNATURES);
    package
}

/// The same package as rpm before 4.14 made it: its header has no digest of the
/// payload, but of each file. Not signed.
pub(crate) fn without_payload_digest(package: &Package) -> Package {
    let gone = [
        IndexTag::RPMTAG_PAYLOADSHA256,
        IndexTag::RPMTAG_PAYLOADSHA256ALGO,
        IndexTag::RPMTAG_PAYLOADSHA256ALT,
        IndexTag::RPMTAG_PAYLOAD_SHA512,
        IndexTag::RPMTAG_PAYLOAD_SHA512_ALT,
        IndexTag::RPMTAG_PAYLOAD_SHA3_256,
        IndexTag::RPMTAG_PAYLOAD_SHA3_256_ALT,
        IndexTag::RPMTAG_HEADERIMMUTABLE,
    ];
    with_entries(package, |tag, data| {
        gone.iter().all(|gone| *gone as u32 != tag).then_some(data)
    })
}

/// The same package with another compressor's name in its header. Not signed.
pub(crate) fn packed_with(package: &Package, compressor: &str) -> Package {
    with_entries(package, |tag, data| match tag {
        tag if tag == IndexTag::RPMTAG_HEADERIMMUTABLE as u32 => None,
        tag if tag == IndexTag::RPMTAG_PAYLOADCOMPRESSOR as u32 => {
            Some(IndexData::StringTag(compressor.to_owned()))
        }
        _ => Some(data),
    })
}

/// The same package with a header of these entries, its region made anew.
fn with_entries(package: &Package, keep: impl Fn(u32, IndexData) -> Option<IndexData>) -> Package {
    let mut package = package.clone();
    let entries = package.metadata.header.get_all_entries().unwrap();
    let kept = entries
        .into_iter()
        .filter_map(|(tag, data)| Some(HeaderEntry::new(tag, keep(tag, data)?)));
    package.metadata.header = Header::from_entries(kept, IndexTag::RPMTAG_HEADERIMMUTABLE);
    package.metadata.signature = Header::from_entries(
        Vec::<HeaderEntry>::new(),
        IndexSignatureTag::HEADER_SIGNATURES,
    );
    package
}

pub(crate) fn bytes(package: &Package) -> Vec<u8> {
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    bytes
}

/// A repository at /repo, not yet served.
pub(crate) struct Repository {
    pub(crate) server: Server,
    pub(crate) signer: Signer,
    /// By path below the repository.
    pub(crate) packages: BTreeMap<String, Vec<u8>>,
    /// As the elements of primary.xml; what is served can be another thing.
    pub(crate) elements: String,
    /// Name and bytes of the primary.xml, compressed in the way of the name.
    pub(crate) pack: fn(&[u8]) -> Vec<u8>,
    /// The checksums' type, and how they are made.
    pub(crate) sum: (&'static str, fn(&[u8]) -> String),
    /// repomd.xml is signed.
    pub(crate) signs: bool,
    /// Done to repomd.xml before it is signed and served.
    pub(crate) spoil: fn(String) -> String,
}

impl Repository {
    pub(crate) fn new() -> Repository {
        Repository {
            server: Server::start(),
            signer: Signer::good(),
            packages: BTreeMap::new(),
            elements: String::new(),
            pack: gzip,
            sum: ("sha256", sha256),
            signs: false,
            spoil: |text| text,
        }
    }

    /// Adds a package; where it is.
    pub(crate) fn add(&mut self, package: &Package) -> String {
        self.add_bytes(package, bytes(package))
    }

    /// Adds a package of which these are the bytes.
    pub(crate) fn add_bytes(&mut self, package: &Package, bytes: Vec<u8>) -> String {
        let metadata = &package.metadata;
        let (name, version, release) = (
            metadata.get_name().unwrap(),
            metadata.get_version().unwrap(),
            metadata.get_release().unwrap(),
        );
        let path = format!("Packages/{name}-{version}-{release}.x86_64.rpm");
        self.elements += &format!(
            r#"<package type="rpm"><name>{name}</name><arch>x86_64</arch>
<version epoch="0" ver="{version}" rel="{release}"/>
<checksum type="{}" pkgid="YES">{}</checksum><summary>x &amp; y</summary>
<size package="{}" installed="1" archive="1"/><location href="{path}"/>
<format><rpm:sourcerpm>kernel-{version}-{release}.src.rpm</rpm:sourcerpm></format></package>"#,
            self.sum.0,
            (self.sum.1)(&bytes),
            bytes.len(),
        );
        self.packages.insert(path.clone(), bytes);
        path
    }

    /// A kernel as el9 splits one, each part packed in another way.
    pub(crate) fn add_split(&mut self, version: &str) {
        let v = format!("{version}.x86_64");
        let place = |file: &str| format!("/lib/modules/{v}/{file}");
        let empty: [(&str, &[u8]); 0] = [];
        let parts = [
            package("kernel", version, &empty, CompressionWithLevel::Gzip(1)),
            package(
                "kernel-core",
                version,
                &[
                    (&place("vmlinuz"), &bz_image(&v)),
                    (&place("config"), b"CONFIG_X=y\n"),
                    (&place("modules.builtin"), b"kernel/x.ko\n"),
                    (&place("System.map"), b"0 x"),
                ],
                CompressionWithLevel::Xz(1),
            ),
            package(
                "kernel-modules-core",
                version,
                &[(&place("kernel/a.ko.xz"), b"a")],
                CompressionWithLevel::Zstd(1),
            ),
            package(
                "kernel-modules",
                version,
                &[(&place("kernel/b.ko.xz"), b"b")],
                CompressionWithLevel::Gzip(1),
            ),
        ];
        for part in &parts {
            self.add(part);
        }
        // An empty package need not be there.
        self.packages
            .retain(|path, _| !path.starts_with("Packages/kernel-5"));
    }

    pub(crate) fn primary(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"1\">{}</metadata>",
            self.elements
        )
    }

    /// repomd.xml for a primary.xml, plain and packed.
    pub(crate) fn repomd(&self, primary: &[u8], packed: &[u8]) -> String {
        let text = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
<data type="primary"><checksum type="{}">{}</checksum>
<location href="repodata/primary.xml.pack"/><size>{}</size><open-size>{}</open-size></data></repomd>"#,
            self.sum.0,
            (self.sum.1)(packed),
            packed.len(),
            primary.len()
        );
        (self.spoil)(text)
    }

    /// Serves all, well.
    pub(crate) fn publish(&self) {
        let primary = self.primary();
        let packed = (self.pack)(primary.as_bytes());
        let repomd = self.repomd(primary.as_bytes(), &packed);
        self.file("repodata/primary.xml.pack", &packed);
        if self.signs {
            self.file("repodata/repomd.xml.asc", &self.signer.detached(&repomd));
        }
        self.file("repodata/repomd.xml", repomd.as_bytes());
        for (path, bytes) in &self.packages {
            self.file(path, bytes);
        }
    }

    pub(crate) fn file(&self, path: &str, bytes: &[u8]) {
        self.server
            .on(&format!("/repo/{path}"), Reply::File(bytes.to_vec()));
    }

    pub(crate) fn source(&self, package: &str) -> RpmSource {
        RpmSource {
            base: self.server.url("/repo"),
            package: package.to_owned(),
            version: None,
            key: None,
            allow_expired: false,
        }
    }
}

/// Somebody with a cache of their own.
pub(crate) struct Asker {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) events: Arc<Events>,
}

impl Asker {
    pub(crate) fn new() -> Asker {
        Asker {
            folder: tempfile::tempdir().unwrap(),
            events: Arc::default(),
        }
    }

    fn options(&self, offline: bool) -> Options {
        Options {
            cache_root: Some(self.folder.path().join("cache")),
            offline,
            progress: Arc::clone(&self.events) as Arc<dyn supply::Progress>,
            qemu: None,
        }
    }

    pub(crate) fn supply(&self, offline: bool) -> Supply {
        Supply::new(self.options(offline)).unwrap()
    }

    /// One that asks everybody anew.
    pub(crate) fn anew(&self) -> Supply {
        Supply::asking_anew(self.options(false)).unwrap()
    }

    /// The same, without patience.
    pub(crate) fn hurried(&self) -> Supply {
        Supply::in_a_hurry(self.options(false)).unwrap()
    }

    pub(crate) fn ask(&self, source: KernelSource) -> Result<KernelFiles, String> {
        let found = self.supply(false).kernel(&[source]);
        found.map_err(|error| error.to_string())
    }

    #[track_caller]
    pub(crate) fn rpm(&self, source: RpmSource) -> KernelFiles {
        self.ask(KernelSource::Rpm(source))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The error, after which nothing was kept of a kernel.
    #[track_caller]
    pub(crate) fn refused(&self, source: KernelSource) -> String {
        let error = self.ask(source).expect_err("it was taken");
        assert_eq!(self.kept("kernel"), 0, "kept in spite of: {error}");
        error
    }

    /// How many things of a kind are in the cache.
    pub(crate) fn kept(&self, kind: &str) -> usize {
        let entries = self.supply(true).cache().entries().unwrap();
        entries.iter().filter(|entry| entry.kind == kind).count()
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// What is in a folder: paths of files below it, in order.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else {
                let path = path.strip_prefix(root).unwrap();
                into.push(path.display().to_string());
            }
        }
    }
    let mut all = Vec::new();
    walk(folder, folder, &mut all);
    all.sort();
    all
}
