//! The distribution protocol against a registry on the loopback that does what it
//! should not, and images made by hand.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use plan::{ImageReference, OciSource};
use serde_json::{Value, json};
use supply::cache::Cache;
use supply::http::HttpOptions;
use supply::oci::{Digest, ImageConfig, Limits, OciError, Registries};
use supply::tree::{Spool, Tree};
use supply::{HttpError, Silent};

use crate::server::{Reply, Server};

/// A tar of files: name and content.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        // Set by hand: the builder refuses what a hostile image has.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image as a registry has it.
struct Image {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
    manifest: Value,
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::of(bytes).as_str(), "size": bytes.len() })
}

impl Image {
    /// Of plain layers and what the registry keeps of each.
    fn new(architecture: &str, layers: &[(Vec<u8>, Vec<u8>)]) -> Image {
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|(plain, _)| Digest::of(plain).to_string())
            .collect();
        let config = json!({
            "os": "linux", "architecture": architecture,
            "config": { "Env": ["A=1=2", "PATH=/x"], "User": "app", "WorkingDir": "/srv", "Entrypoint": ["/e"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = serde_json::to_vec(&config).unwrap();
        let layers: Vec<Vec<u8>> = layers.iter().map(|(_, kept)| kept.clone()).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter()
                .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
                .collect::<Vec<_>>(),
        });
        Image {
            config,
            layers,
            manifest,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.manifest).unwrap()
    }

    fn serve(&self, server: &Server) {
        server.on(&blob(&self.config), Reply::File(self.config.clone()));
        for layer in &self.layers {
            server.on(&blob(layer), Reply::File(layer.clone()));
        }
        let bytes = self.bytes();
        server.on(
            &manifest(Digest::of(&bytes).as_str()),
            Reply::File(bytes.clone()),
        );
        server.on(&manifest("1"), Reply::File(bytes));
    }
}

fn blob(bytes: &[u8]) -> String {
    format!("/v2/a/b/blobs/{}", Digest::of(bytes))
}

fn manifest(name: &str) -> String {
    format!("/v2/a/b/manifests/{name}")
}

struct Desk {
    folder: tempfile::TempDir,
    server: Server,
}

type Pulled = (Tree, ImageConfig, supply::Resolved);

impl Desk {
    fn new() -> Desk {
        Desk {
            folder: tempfile::tempdir().unwrap(),
            server: Server::start(),
        }
    }

    fn registries(&self, offline: bool) -> Registries {
        let cache = Arc::new(Cache::open(self.folder.path()).unwrap());
        let options = HttpOptions {
            offline,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
            backoff: Duration::from_millis(5),
            ..HttpOptions::default()
        };
        let mirror = format!("registry.invalid={}", self.server.url(""));
        Registries::new(cache, options, Arc::new(Silent))
            .unwrap()
            .with_mirrors(&mirror)
            .unwrap()
    }

    fn pull_by(&self, registries: &Registries, architecture: &str) -> Result<Pulled, OciError> {
        let source = OciSource {
            reference: ImageReference::parse("registry.invalid/a/b:1").unwrap(),
            architecture: architecture.into(),
            insecure: false,
        };
        let resolved = registries.resolve(&source)?;
        let config = registries.config(&source, &resolved)?;
        let spool = Spool::new(self.folder.path())?;
        let tree = registries.tree(&source, &resolved, &config, &spool)?;
        Ok((tree, config.image, resolved))
    }

    fn pull(&self) -> Result<Pulled, OciError> {
        self.pull_by(&self.registries(false), "amd64")
    }

    fn has_blob(&self, bytes: &[u8]) -> bool {
        let digest = Digest::of(bytes);
        self.folder.path().join("blob").join(digest.hex()).exists()
    }
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree
        .get(path.as_bytes())
        .unwrap_or_else(|| panic!("{path}"))
        .kind
    {
        supply::tree::Kind::File(content) => String::from_utf8(content.to_vec().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Two layers, in all three ways to keep one.
fn good() -> Image {
    let first = tar(&[("etc/a", "one"), ("etc/b", "two")]);
    let second = tar(&[("etc/.wh.a", ""), ("etc/c", "three")]);
    let third = tar(&[("etc/d", "four")]);
    let zstd = zstd::encode_all(second.as_slice(), 3).unwrap();
    Image::new(
        "amd64",
        &[
            (first.clone(), gzip(&first)),
            (second, zstd),
            (third.clone(), third),
        ],
    )
}

#[test]
fn an_image_comes_whole_and_once() {
    let desk = Desk::new();
    let image = good();
    image.serve(&desk.server);
    let (tree, config, resolved) = desk.pull().unwrap();
    assert!(tree.get(b"etc/a").is_none());
    assert_eq!(text(&tree, "etc/b"), "two");
    assert_eq!(text(&tree, "etc/c"), "three");
    assert_eq!(text(&tree, "etc/d"), "four");
    assert_eq!(config.environment[0], ("A".to_owned(), "1=2".to_owned()));
    assert_eq!(config.user.as_deref(), Some("app"));
    assert_eq!(config.directory.as_deref(), Some("/srv"));
    assert_eq!(config.entrypoint, ["/e"]);
    assert_eq!(resolved.digest, Digest::of(&image.bytes()));

    // Offline it is what it was, and nothing is asked.
    let asked = desk.server.requests("").len();
    let (again, ..) = desk.pull_by(&desk.registries(true), "amd64").unwrap();
    assert_eq!(text(&again, "etc/d"), "four");
    assert_eq!(desk.server.requests("").len(), asked);
    let other = Desk::new();
    let error = other
        .pull_by(&other.registries(true), "amd64")
        .err()
        .unwrap();
    assert!(matches!(error, OciError::Offline { .. }), "{error}");
}

#[test]
fn the_platform_is_chosen_out_of_an_index() {
    let desk = Desk::new();
    let of = |architecture: &str| {
        let layer = tar(&[("which", architecture)]);
        Image::new(architecture, &[(layer.clone(), layer)])
    };
    let (amd64, i386) = (of("amd64"), of("386"));
    amd64.serve(&desk.server);
    i386.serve(&desk.server);
    let entry = |image: &Image, architecture: &str| {
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &image.bytes());
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entry
    };
    let index =
        json!({ "schemaVersion": 2, "manifests": [entry(&i386, "386"), entry(&amd64, "amd64")] });
    let index = serde_json::to_vec(&index).unwrap();
    desk.server.on(&manifest("1"), Reply::File(index.clone()));
    for (ours, theirs) in [("amd64", "amd64"), ("i386", "386")] {
        let (tree, _, resolved) = desk.pull_by(&desk.registries(false), ours).unwrap();
        assert_eq!(text(&tree, "which"), theirs);
        assert_eq!(resolved.digest, Digest::of(&index));
        assert_ne!(resolved.manifest_digest, resolved.digest);
    }
    let only =
        json!({ "schemaVersion": 2, "manifests": [entry(&i386, "386"), entry(&amd64, "arm64")] });
    desk.server.on(
        &manifest("1"),
        Reply::File(serde_json::to_vec(&only).unwrap()),
    );
    let error = desk.pull().err().unwrap().to_string();
    assert!(error.contains("linux/386, linux/arm64"), "{error}");
}

#[test]
fn a_token_is_fetched_where_one_is_wanted() {
    let desk = Desk::new();
    let image = good();
    image.serve(&desk.server);
    let challenge = format!(
        "Bearer realm=\"{}\",service=\"s t\",scope=\"repository:a/b:pull\"",
        desk.server.url("/token")
    );
    let refusal = Reply::Said(401, vec![("WWW-Authenticate", challenge)], b"{}".to_vec());
    desk.server.on_each(
        &manifest("1"),
        vec![refusal.clone(), Reply::File(image.bytes())],
    );
    let query = "/token?scope=repository%3Aa%2Fb%3Apull&service=s%20t";
    desk.server.on(
        query,
        Reply::File(b"{\"token\": \"secret.token\"}".to_vec()),
    );
    desk.pull().unwrap();
    let asked = desk.server.requests(&manifest("1"));
    assert_eq!(asked[0].headers.get("authorization"), None);
    assert_eq!(asked[1].headers["authorization"], "Bearer secret.token");
    // The layers need no new one.
    let layer = &desk.server.requests(&blob(&image.layers[0]))[0];
    assert_eq!(layer.headers["authorization"], "Bearer secret.token");
    assert_eq!(desk.server.requests(query).len(), 1);
}

#[test]
fn what_breaks_on_the_way_is_mended() {
    let desk = Desk::new();
    let image = good();
    image.serve(&desk.server);
    let (first, second) = (&image.layers[0], &image.layers[1]);
    let mut corrupt = first.clone();
    corrupt[20] ^= 0xff;
    // Half of it wrong, then cut: the rest does not fit, so it begins anew.
    desk.server.on_each(
        &blob(first),
        vec![
            Reply::Cut(corrupt, first.len() / 2),
            Reply::File(first.clone()),
        ],
    );
    desk.server.on_each(
        &blob(second),
        vec![
            Reply::Said(429, vec![("Retry-After", "0".into())], Vec::new()),
            Reply::Status(503),
            Reply::Redirect(desk.server.url("/elsewhere")),
        ],
    );
    desk.server.on("/elsewhere", Reply::File(second.clone()));
    let (tree, ..) = desk.pull().unwrap();
    assert_eq!(text(&tree, "etc/b"), "two");
    assert_eq!(text(&tree, "etc/c"), "three");
}

#[test]
fn a_layer_that_is_not_what_was_promised_is_refused_and_leaves_nothing() {
    let plain = tar(&[("etc/a", "one")]);
    let other = tar(&[("etc/a", "two")]);
    // The configuration promises other bytes than the layer has.
    let image = Image::new("amd64", &[(other, gzip(&plain))]);
    let desk = Desk::new();
    image.serve(&desk.server);
    let error = desk.pull().err().unwrap();
    assert!(matches!(error, OciError::Digest { .. }), "{error}");
    assert!(error.to_string().contains("layer 1/1"), "{error}");
    assert!(!desk.has_blob(&image.layers[0]));

    for (files, words) in [
        (tar(&[("../a", "x")]), "climbs out"),
        (tar(&[("a/../../b", "x")]), "climbs out"),
        (tar(&[(".wh...", "")]), "whiteout"),
        (tar(&[("f", "x"), ("f/g", "x")]), "not a directory"),
        (tar(&[("a", "x")])[..700].to_vec(), "cut short"),
        (b"no archive".repeat(100), "not a tar"),
    ] {
        let desk = Desk::new();
        let image = Image::new("amd64", &[(files.clone(), gzip(&files))]);
        image.serve(&desk.server);
        let error = desk.pull().err().unwrap().to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert!(!desk.has_blob(&image.layers[0]), "{words}");
    }
}

#[test]
fn limits_end_a_bomb() {
    let desk = Desk::new();
    let bomb = tar(&[("zeros", &"0".repeat(3 << 20))]);
    let image = Image::new("amd64", &[(bomb.clone(), gzip(&bomb))]);
    image.serve(&desk.server);
    let limited = |bytes, entries| {
        let registries = desk
            .registries(false)
            .with_limits(Limits { bytes, entries });
        desk.pull_by(&registries, "amd64")
    };
    let error = limited(1 << 20, 10).err().unwrap().to_string();
    assert!(error.contains("MATRIX_IMAGE_MIB"), "{error}");
    let error = limited(4 << 20, 0).err().unwrap().to_string();
    assert!(error.contains("MATRIX_IMAGE_ENTRIES"), "{error}");
    assert!(limited(4 << 20, 1).is_ok());
}

#[test]
fn what_is_no_image_says_what_it_is() {
    let config = descriptor("application/vnd.cncf.helm.config.v1+json", b"{}");
    for (document, words) in [
        (json!({ "schemaVersion": 1, "fsLayers": [] }), "schema 1"),
        (
            json!({ "schemaVersion": 2, "config": config, "layers": [] }),
            "helm",
        ),
        (json!({ "schemaVersion": 2 }), "neither"),
        (
            json!({ "schemaVersion": 2, "manifests": [] }),
            "none at all",
        ),
        (json!([]), "not a manifest"),
    ] {
        let desk = Desk::new();
        let bytes = serde_json::to_vec(&document).unwrap();
        desk.server.on(&manifest("1"), Reply::File(bytes));
        let error = desk.pull().err().unwrap().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    // A digest header that is not the body's.
    let desk = Desk::new();
    let told = Digest::of(b"other").to_string();
    let headers = vec![("Docker-Content-Digest", told)];
    desk.server
        .on(&manifest("1"), Reply::Said(200, headers, good().bytes()));
    assert!(matches!(desk.pull().err(), Some(OciError::Digest { .. })));
}

#[test]
fn a_registry_that_is_not_there_is_an_error_with_its_name() {
    let desk = Desk::new();
    // The mirror has nothing of it, and the registry's name leads nowhere.
    let error = desk.pull().err().unwrap();
    assert!(
        matches!(&error, OciError::Http(HttpError::Connect { url, .. }) if url.contains("registry.invalid")),
        "{error}"
    );
}
