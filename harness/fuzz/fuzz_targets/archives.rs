//! Archives of images: what `docker save` writes, OCI layouts and skopeo's `dir:`,
//! with documents that point at blobs that are there, are not, or are others.
//!
//! What must hold: a tar and a folder of the same files come to the same image; every
//! layer's plain bytes are those the configuration names; memory is bounded; nothing
//! of the machine outside of the archive is read.

#![no_main]

use std::path::Path;

use arbitrary::Arbitrary;
use fuzz::{LayerPlan, Memory, sound};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use supply::oci::archive::Archive;
use supply::oci::{Digest, Limits};
use supply::tree::{Spool, digest};

#[derive(Arbitrary, Debug)]
struct Case {
    layers: Vec<LayerPlan>,
    shape: Shape,
    /// Of the index: the platforms of its entries.
    platforms: Vec<(bool, u8)>,
    /// The image that is asked for.
    wanted: Option<u8>,
    names: Vec<u8>,
    lies: Vec<Lie>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Saved,
    Layout,
    NestedLayout,
    Directory,
}

#[derive(Arbitrary, Debug)]
enum Lie {
    /// A blob's bytes are others.
    Blob(u8, u8),
    /// A blob is not there.
    Missing(u8),
    /// The configuration names the layers in another order.
    DiffIds(u8),
    /// A blob is a link that leads out of the archive.
    Link(u8, bool),
    /// A field of a document is another.
    Document(u8, String),
    /// A name in manifest.json leads elsewhere.
    Name(u8, String),
}

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 5000,
};
const NAMES: [&str; 4] = [
    "alpine:3.20",
    "docker.io/library/alpine:3.20",
    "3.20",
    "other",
];

/// A file of the archive: its bytes, or where a symbolic link leads.
enum File {
    Bytes(Vec<u8>),
    Link(&'static str),
}

/// What stands outside, beside the archive's folder.
const OUTSIDE: &str = "what is outside is nobody's layer";

fuzz_target!(|case: Case| {
    let files = files(&case);
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("folder");
    let tar = outer.path().join("image.tar");
    std::fs::write(outer.path().join("outside"), OUTSIDE).expect("a file");
    write_folder(&folder, &files);
    write_tar(&tar, &files);

    let wanted = case
        .wanted
        .map(|name| NAMES[usize::from(name) % NAMES.len()]);
    let memory = Memory::watch();
    let of_tar = image(&tar, outer.path(), wanted);
    let of_folder = image(&folder, outer.path(), wanted);
    memory.at_most(64 << 20);
    match (of_tar, of_folder) {
        (Ok(of_tar), Ok(of_folder)) => assert_eq!(of_tar, of_folder),
        (Err(_), Err(_)) => {}
        // In a folder a link leads where it leads, in a tar within it.
        (of_tar, of_folder) => assert!(
            case.lies.iter().any(|lie| matches!(lie, Lie::Link(..))),
            "{of_tar:?} {of_folder:?}"
        ),
    }
});

/// The image's digest, and its tree's.
fn image(
    path: &Path,
    staging: &Path,
    wanted: Option<&str>,
) -> Result<(String, String), supply::OciError> {
    let archive = Archive::open(path, staging, LIMITS)?;
    let chosen = archive.choose(wanted, "amd64")?;
    let spool = Spool::new(staging).expect("a spool");
    let tree = archive.tree(&chosen, &spool, LIMITS)?;
    sound(&tree, LIMITS.entries);
    assert!(tree.size() <= LIMITS.bytes);
    Ok((chosen.digest.to_string(), digest(&tree).expect("a digest")))
}

fn files(case: &Case) -> Vec<(String, File)> {
    let layers = &case.layers[..case.layers.len().min(4)];
    let lie = |which: &dyn Fn(&Lie) -> Option<String>, usual: String| {
        case.lies.iter().find_map(which).unwrap_or(usual)
    };
    let mut diff_ids = Vec::new();
    let mut blobs = Vec::new();
    for plan in layers {
        let archive = plan.archive();
        diff_ids.push(Digest::of(&archive).to_string());
        blobs.push(plan.pack(&archive));
    }
    if let Some(turn) = case.lies.iter().find_map(|lie| match lie {
        Lie::DiffIds(turn) => Some(usize::from(*turn)),
        _ => None,
    }) && !diff_ids.is_empty()
    {
        let turn = turn % diff_ids.len();
        diff_ids.rotate_left(turn);
    }
    let word = |at: u8, usual: &str| {
        lie(
            &|lie| match lie {
                Lie::Document(place, text) if place % 8 == at => Some(text.clone()),
                _ => None,
            },
            usual.to_owned(),
        )
    };
    let config = json!({
        "os": word(0, "linux"),
        "architecture": word(1, "amd64"),
        "config": {"Env": [word(2, "PATH=/bin")], "WorkingDir": word(3, "/")},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let config_digest = Digest::of(&config);
    let descriptor = |bytes: &[u8], media_type: &str| {
        json!({
            "mediaType": media_type,
            "digest": Digest::of(bytes).to_string(),
            "size": bytes.len(),
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": word(4, "application/vnd.oci.image.manifest.v1+json"),
        "config": descriptor(&config, &word(5, "application/vnd.oci.image.config.v1+json")),
        "layers": blobs
            .iter()
            .map(|blob| descriptor(blob, &word(6, "application/vnd.oci.image.layer.v1.tar+gzip")))
            .collect::<Vec<Value>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let names: Vec<&str> = case
        .names
        .iter()
        .take(4)
        .map(|name| NAMES[usize::from(*name) % NAMES.len()])
        .collect();

    let blob_name = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let mut files = Vec::new();
    let mut put = |name: String, bytes: Vec<u8>| files.push((name, File::Bytes(bytes)));
    match case.shape {
        Shape::Saved => {
            let layer_names: Vec<String> = (0..blobs.len())
                .map(|number| {
                    lie(
                        &|lie| match lie {
                            Lie::Name(place, text) if usize::from(*place) == number => {
                                Some(text.clone())
                            }
                            _ => None,
                        },
                        format!("{number}/layer.tar"),
                    )
                })
                .collect();
            let config_name = format!("{}.json", config_digest.hex());
            let saved = json!([{
                "Config": config_name,
                "RepoTags": names,
                "Layers": layer_names,
            }]);
            put("manifest.json".to_owned(), saved.to_string().into_bytes());
            put(config_name, config);
            for (number, blob) in blobs.into_iter().enumerate() {
                put(format!("{number}/layer.tar"), blob);
            }
        }
        Shape::Directory => {
            put("manifest.json".to_owned(), manifest);
            put(config_digest.hex().to_owned(), config);
            for blob in blobs {
                put(Digest::of(&blob).hex().to_owned(), blob);
            }
        }
        Shape::Layout | Shape::NestedLayout => {
            let entry = |bytes: &[u8], platform: Option<(bool, u8)>, name: Option<&str>| {
                let mut entry = descriptor(bytes, "");
                if let Some((linux, level)) = platform {
                    let os = if linux { "linux" } else { "windows" };
                    let variant = format!("v{}", level % 4);
                    entry["platform"] =
                        json!({"os": os, "architecture": "amd64", "variant": variant});
                }
                if let Some(name) = name {
                    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
                }
                entry
            };
            let index = |bytes: &[u8], named: bool| {
                let mut entries = Vec::new();
                for number in 0..names.len().max(case.platforms.len()).max(1).min(4) {
                    let name = named.then(|| names.get(number).copied()).flatten();
                    entries.push(entry(bytes, case.platforms.get(number).copied(), name));
                }
                json!({"schemaVersion": 2, "manifests": entries})
                    .to_string()
                    .into_bytes()
            };
            put(
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            );
            let mut top = manifest.clone();
            if case.shape == Shape::NestedLayout {
                let inner = index(&manifest, false);
                put(blob_name(&Digest::of(&inner)), inner.clone());
                top = inner;
            }
            put("index.json".to_owned(), index(&top, true));
            put(blob_name(&Digest::of(&manifest)), manifest);
            put(blob_name(&config_digest), config);
            for blob in blobs {
                put(blob_name(&Digest::of(&blob)), blob);
            }
        }
    }
    for lie in &case.lies {
        let count = files.len();
        let at = |number: u8| usize::from(number) % count.max(1);
        match lie {
            Lie::Blob(number, byte) if count > 0 => {
                if let File::Bytes(bytes) = &mut files[at(*number)].1
                    && let Some(last) = bytes.last_mut()
                {
                    *last = *byte;
                }
            }
            Lie::Missing(number) if count > 0 => {
                files.remove(at(*number));
            }
            Lie::Link(number, absolute) if count > 0 => {
                let number = at(*number);
                files[number].1 = File::Link(if *absolute {
                    "/etc/passwd"
                } else {
                    "../../../outside"
                });
            }
            _ => {}
        }
    }
    // Two equal layers are one file.
    let mut seen = std::collections::HashSet::new();
    files.retain(|(name, _)| seen.insert(name.clone()));
    files
}

fn write_folder(folder: &Path, files: &[(String, File)]) {
    std::fs::create_dir(folder).expect("a folder");
    for (name, file) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        match file {
            File::Bytes(bytes) => std::fs::write(path, bytes).expect("a file"),
            File::Link(target) => std::os::unix::fs::symlink(target, path).expect("a link"),
        }
    }
}

fn write_tar(path: &Path, files: &[(String, File)]) {
    let mut builder = tar::Builder::new(std::fs::File::create(path).expect("a file"));
    for (name, file) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match file {
            File::Bytes(bytes) => {
                header.set_size(bytes.len() as u64);
                builder
                    .append_data(&mut header, name, bytes.as_slice())
                    .expect("a member");
            }
            File::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder
                    .append_link(&mut header, name, target)
                    .expect("a member");
            }
        }
    }
    builder.finish().expect("an archive");
}
