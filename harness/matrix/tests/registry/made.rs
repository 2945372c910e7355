//! Images made by hand, and OCI layouts of them.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use supply::oci::Digest;

/// How a layer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pack {
    Plain,
    Gzip,
    Zstd,
}

impl Pack {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Pack::Plain => "application/vnd.oci.image.layer.v1.tar",
            Pack::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Pack::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub(crate) fn pack(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Pack::Plain => plain.to_vec(),
            Pack::Gzip => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Pack::Zstd => zstd::encode_all(plain, 3).unwrap(),
        }
    }
}

/// An image as a registry has it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) architecture: String,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) manifest: Value,
}

pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::of(bytes).as_str(), "size": bytes.len() })
}

impl Image {
    /// Of plain layers, each kept in its way.
    pub(crate) fn new(architecture: &str, layers: &[(&[u8], Pack)]) -> Image {
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|(plain, _)| Digest::of(plain).to_string())
            .collect();
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let kept = layers
            .iter()
            .map(|(plain, pack)| pack.pack(plain))
            .collect();
        let kinds = layers.iter().map(|(_, pack)| pack.media_type());
        Image::of(architecture, bytes(&config), kept, kinds)
    }

    /// Of what is kept, whatever it is.
    pub(crate) fn of<'a>(
        architecture: &str,
        config: Vec<u8>,
        layers: Vec<Vec<u8>>,
        kinds: impl Iterator<Item = &'a str>,
    ) -> Image {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().zip(kinds)
                .map(|(layer, kind)| descriptor(kind, layer))
                .collect::<Vec<_>>(),
        });
        Image {
            architecture: architecture.to_owned(),
            config,
            layers,
            manifest,
        }
    }

    pub(crate) fn manifest_bytes(&self) -> Vec<u8> {
        bytes(&self.manifest)
    }
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// An index of these, by their platforms.
pub(crate) fn index(images: &[Image]) -> Vec<u8> {
    let entries: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut entry = descriptor(MANIFEST, &image.manifest_bytes());
            entry["platform"] = json!({ "os": "linux", "architecture": image.architecture });
            entry
        })
        .collect();
    bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }))
}

/// Writes an OCI layout with each of these under its tag.
pub(crate) fn layout(folder: &Path, tagged: &[(&str, &Image)], indexes: &[(&str, &[Image])]) {
    let blobs = folder.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| fs_err::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
    let all = tagged.iter().map(|(_, image)| *image);
    for image in all.chain(indexes.iter().flat_map(|(_, images)| images.iter())) {
        put(&image.config);
        put(&image.manifest_bytes());
        image.layers.iter().for_each(|layer| put(layer));
    }
    let named = |mut entry: Value, tag: &str| {
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        entry
    };
    let mut entries: Vec<Value> = tagged
        .iter()
        .map(|(tag, image)| named(descriptor(MANIFEST, &image.manifest_bytes()), tag))
        .collect();
    for (tag, images) in indexes {
        let index = index(images);
        put(&index);
        entries.push(named(descriptor(INDEX, &index), tag));
    }
    let top = json!({ "schemaVersion": 2, "manifests": entries });
    fs_err::write(folder.join("index.json"), bytes(&top)).unwrap();
    fs_err::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}
