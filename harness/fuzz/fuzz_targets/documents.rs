//! Manifests, indexes and configurations, as any registry could serve them.
//!
//! What must hold: memory is bounded by the document's length; what is taken has
//! digests that are digests and nothing that no process can be given; white space
//! makes no difference; what is chosen of an index is for the platform that was asked
//! for, and no lower level is there; and where another reader (oci-spec's) takes the
//! same bytes for an image too, it is the same image.

#![no_main]

use std::io::Cursor;

use fuzz::Memory;
use libfuzzer_sys::fuzz_target;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use supply::oci::{Descriptor, Digest, Document, config, manifest};

const ARCHITECTURES: [&str; 3] = ["amd64", "i386", "arm64"];

fn is_digest(digest: &Digest) {
    assert_eq!(Digest::parse(digest.as_str()).as_ref(), Some(digest));
    assert_eq!(digest.hex().len(), 64);
}

fuzz_target!(|bytes: &[u8]| {
    let memory = Memory::watch();
    let document = manifest::parse(bytes, "it");
    memory.at_most((1 << 20) + 256 * bytes.len());
    // Serde's own value keeps the last of two of one name and loses nothing else.
    let spaced = serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|value| serde_json::to_vec_pretty(&value).ok());
    if let Ok(document) = document {
        // It may not be able to hold what our reader passes over, a number beyond all.
        if let Some(spaced) = spaced {
            assert_eq!(document, manifest::parse(&spaced, "it").expect("the same"));
        }
        match &document {
            Document::Manifest(image) => image_manifest(bytes, image),
            Document::Index(manifests) => index(bytes, manifests),
        }
    }

    let memory = Memory::watch();
    for architecture in ARCHITECTURES {
        // How many layers a manifest has, the configuration must have.
        for layers in 0..3 {
            let Ok(read) = config::parse(bytes, "it", architecture, layers) else {
                continue;
            };
            assert_eq!(read.diff_ids.len(), layers);
            read.diff_ids.iter().for_each(is_digest);
            configuration(bytes, architecture, &read);
        }
    }
    memory.at_most((4 << 20) + 1024 * bytes.len());
});

fn image_manifest(bytes: &[u8], image: &supply::oci::Manifest) {
    is_digest(&image.config.digest);
    image
        .layers
        .iter()
        .for_each(|layer| is_digest(&layer.digest));
    if let Ok(theirs) = ImageManifest::from_reader(Cursor::new(bytes)) {
        assert_eq!(
            theirs.config().digest().to_string(),
            image.config.digest.as_str()
        );
        let theirs: Vec<(String, u64)> = theirs
            .layers()
            .iter()
            .map(|layer| (layer.digest().to_string(), layer.size()))
            .collect();
        let ours: Vec<(String, u64)> = image
            .layers
            .iter()
            .map(|layer| (layer.digest.to_string(), layer.size))
            .collect();
        assert_eq!(ours, theirs);
    }
    // What could be taken for an index as well is none of ours.
    assert!(ImageIndex::from_reader(Cursor::new(bytes)).is_err());
}

fn index(bytes: &[u8], manifests: &[Descriptor]) {
    manifests
        .iter()
        .for_each(|manifest| is_digest(&manifest.digest));
    if let Ok(theirs) = ImageIndex::from_reader(Cursor::new(bytes)) {
        let theirs: Vec<String> = theirs
            .manifests()
            .iter()
            .map(|manifest| manifest.digest().to_string())
            .filter(|digest| Digest::parse(digest).is_some())
            .collect();
        let ours: Vec<String> = manifests
            .iter()
            .map(|manifest| manifest.digest.to_string())
            .collect();
        assert_eq!(ours, theirs);
    }
    for architecture in ARCHITECTURES {
        let Ok(chosen) = manifest::choose(manifests, architecture, "it") else {
            continue;
        };
        let Some(platform) = &chosen.platform else {
            assert_eq!(manifests.len(), 1);
            continue;
        };
        let word = manifest::go_word(architecture);
        assert_eq!(
            (platform.os.as_str(), platform.architecture.as_str()),
            ("linux", word)
        );
        for other in manifests.iter().filter_map(|other| other.platform.as_ref()) {
            let same = other.os == platform.os && other.architecture == platform.architecture;
            assert!(
                !same || other.variant >= platform.variant,
                "a lower level is there"
            );
        }
    }
}

fn configuration(bytes: &[u8], architecture: &str, read: &config::Config) {
    let image = &read.image;
    let texts = image
        .entrypoint
        .iter()
        .chain(&image.user)
        .chain(&image.directory);
    let pairs = image.environment.iter();
    for text in texts.chain(pairs.flat_map(|(name, value)| [name, value])) {
        assert!(!text.contains('\0'), "{text:?}");
    }
    for (name, _) in &image.environment {
        assert!(!name.is_empty() && !name.contains('='), "{name:?}");
    }
    assert!(
        image
            .directory
            .as_ref()
            .is_none_or(|directory| directory.starts_with('/'))
    );
    let again = serde_json::to_vec(image).expect("a configuration is written");
    let again: config::ImageConfig = serde_json::from_slice(&again).expect("and read");
    assert_eq!(&again, image);
    if let Ok(theirs) = ImageConfiguration::from_reader(Cursor::new(bytes)) {
        assert_eq!(
            theirs.architecture().to_string(),
            manifest::go_word(architecture)
        );
        let ours: Vec<&str> = read.diff_ids.iter().map(Digest::as_str).collect();
        assert_eq!(theirs.rootfs().diff_ids(), &ours);
    }
}
