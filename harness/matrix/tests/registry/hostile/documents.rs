//! Manifests, configurations and what a registry answers.

use serde_json::json;

use super::End::{Harmless, Refused};
use super::{Row, blob, digest, good, has, manifest, row};
use crate::made::{INDEX, Image, MANIFEST, Pack, bytes, descriptor};
use crate::server::Reply;
use crate::tar_file::{Member, TarFile};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "a layer longer than its manifest says",
            Refused("were expected"),
            |trial| {
                let mut image = good();
                let size = image.layers[0].len() - 1;
                image.manifest["layers"][0]["size"] = json!(size);
                trial.serve(&image);
            },
        ),
        row(
            "a layer shorter than its manifest says",
            Refused("were expected"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["size"] = json!(image.layers[0].len() + 1);
                trial.serve(&image);
            },
        ),
        row(
            "an answer longer than it announces",
            Refused("were expected"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let longer = [image.layers[0].clone(), vec![0; 1 << 20]].concat();
                let place = blob(&digest(&image.layers[0]));
                trial
                    .server
                    .on(&place, Reply::Unannounced(longer.clone(), longer.len()));
            },
        ),
        row(
            "a layer of another digest",
            Refused("its SHA-256 is"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let mut other = image.layers[0].clone();
                other[20] ^= 0xff;
                trial
                    .server
                    .on(&blob(&digest(&image.layers[0])), Reply::File(other));
            },
        ),
        row(
            "a second layer that is not what its diff_id says",
            Refused("decompressed: its digest is"),
            |trial| {
                let mut tars = ["one", "two", "three"].map(|name| {
                    let mut tar = TarFile::new();
                    tar.add(&Member::file(name), b"x");
                    tar.end()
                });
                let promised =
                    Image::new("amd64", &[(&tars[0], Pack::Gzip), (&tars[1], Pack::Zstd)]);
                tars.swap(1, 2);
                let layers = vec![Pack::Gzip.pack(&tars[0]), Pack::Zstd.pack(&tars[1])];
                let kinds = [Pack::Gzip, Pack::Zstd].map(Pack::media_type);
                trial.serve(&Image::of(
                    "amd64",
                    promised.config,
                    layers,
                    kinds.into_iter(),
                ));
            },
        ),
        row(
            "a manifest of 5 MiB",
            Refused("larger than the 4194304 bytes it may have"),
            |trial| {
                let mut image = good();
                image.manifest["annotations"] = json!({ "x": "x".repeat(5 << 20) });
                trial.serve(&image);
            },
        ),
        row(
            "a configuration of 9 MiB",
            Refused("a configuration of 9"),
            |trial| {
                let mut image = good();
                let padding = " ".repeat(9 << 20);
                image.config.extend(padding.into_bytes());
                let kind = Pack::Gzip.media_type();
                trial.serve(&Image::of(
                    "amd64",
                    image.config,
                    image.layers,
                    [kind].into_iter(),
                ));
            },
        ),
        row(
            "1,025 layers",
            Refused("1025 layers, where at most 1024 are taken"),
            |trial| {
                let mut image = good();
                let layer = image.manifest["layers"][0].clone();
                image.manifest["layers"] = json!(vec![layer; 1025]);
                trial.serve(&image);
            },
        ),
        row(
            "indexes of indexes of indexes",
            Refused("indexes of indexes, more than 3 deep"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let mut inner = image.manifest_bytes();
                let mut kind = MANIFEST;
                for _ in 0..4 {
                    let mut entry = descriptor(kind, &inner);
                    entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
                    let index =
                        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
                    trial.document(&inner);
                    (inner, kind) = (bytes(&index), INDEX);
                }
                trial.tagged(&inner);
            },
        ),
        row(
            "an index that comes again in place of what it names",
            Refused("its SHA-256 is"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let named = image.manifest_bytes();
                let mut entry = descriptor(MANIFEST, &named);
                entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
                let index =
                    bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }));
                trial.tagged(&index);
                trial
                    .server
                    .on(&manifest(&digest(&named)), Reply::File(index));
            },
        ),
        row(
            "a digest that is a path",
            Refused("is no SHA-256 digest"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["digest"] = json!("sha256:../../../../tmp/climbed");
                trial.serve(&image);
            },
        ),
        row(
            "a foreign layer, to be had elsewhere",
            Harmless(
                "the registry is asked for it, and nobody else",
                |contents, trial| {
                    has(contents, "/etc/good", b"good");
                    assert!(trial.server.requests("/elsewhere").is_empty());
                },
            ),
            |trial| {
                let mut image = good();
                let layer = &mut image.manifest["layers"][0];
                layer["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
                layer["urls"] = json!([trial.server.url("/elsewhere")]);
                trial.serve(&image);
            },
        ),
        row(
            "a manifest that calls itself an index",
            Refused("neither a manifest (config and layers) nor an index (manifests)"),
            |trial| {
                let mut image = good();
                image.manifest["mediaType"] = json!(INDEX);
                trial.serve(&image);
            },
        ),
        row(
            "a manifest that is an index too",
            Refused("neither a manifest (config and layers) nor an index (manifests)"),
            |trial| {
                let mut image = good();
                image.manifest["manifests"] = json!([descriptor(MANIFEST, b"x")]);
                trial.serve(&image);
            },
        ),
        row(
            "a chart in place of an image",
            Refused(
                "no image of a root file system but `application/vnd.cncf.helm.config.v1+json`",
            ),
            |trial| {
                let mut image = good();
                image.manifest["config"]["mediaType"] =
                    json!("application/vnd.cncf.helm.config.v1+json");
                trial.serve(&image);
            },
        ),
        row(
            "a layer of an unknown kind",
            Refused("a layer of type `application/x-encrypted`, which is not read"),
            |trial| {
                let mut image = good();
                image.manifest["layers"][0]["mediaType"] = json!("application/x-encrypted");
                trial.serve(&image);
            },
        ),
        row(
            "a manifest of docker's schema 1",
            Refused("a manifest of docker's schema 1"),
            |trial| {
                trial.tagged(&bytes(&json!({
                    "schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64",
                    "fsLayers": [{ "blobSum": digest(b"x") }], "history": [], "signatures": [],
                })));
            },
        ),
        row(
            "a configuration with another number of layers",
            Refused("the configuration names 1 layers, the manifest 2"),
            |trial| {
                let mut image = good();
                let layer = image.manifest["layers"][0].clone();
                image.manifest["layers"] = json!([layer, layer]);
                trial.serve(&image);
            },
        ),
        row(
            "a redirect to a file of this machine",
            Refused("the server answered 302"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let to = format!("file://{}", trial.outside("canary"));
                trial
                    .server
                    .on(&blob(&digest(&image.layers[0])), Reply::Redirect(to));
            },
        ),
        row(
            "a redirect in a circle",
            Refused("redirected more than 10 times"),
            |trial| {
                let image = good();
                trial.serve(&image);
                let place = blob(&digest(&image.layers[0]));
                trial
                    .server
                    .on(&place, Reply::Redirect(trial.server.url(&place)));
            },
        ),
        row(
            "a login that all on the way could read",
            Refused("a login over plain http, which all on the way could read"),
            |trial| {
                trial.serve(&good());
                // Of a block for documentation (RFC 5737): nobody is there.
                let challenge = "Bearer realm=\"http://192.0.2.1/token\"".to_owned();
                let headers = vec![("WWW-Authenticate", challenge)];
                trial
                    .server
                    .on(&manifest("1"), Reply::Said(401, headers, b"{}".to_vec()));
            },
        ),
        row(
            "a token with a header in it",
            Refused("the answer to a login has no token in it"),
            |trial| {
                trial.serve(&good());
                let realm = trial.server.url("/token");
                let headers = vec![("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))];
                trial
                    .server
                    .on(&manifest("1"), Reply::Said(401, headers, b"{}".to_vec()));
                let token = json!({ "token": "a\r\nHost: elsewhere" });
                let place = "/token?scope=repository%3Aa%2Fb%3Apull";
                trial.server.on(place, Reply::File(bytes(&token)));
            },
        ),
    ]
}
