//! How much memory a large layer takes: none of it is ever held.

use std::io::{BufWriter, Read, Write};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use supply::oci::Digest;

use crate::desk::{Desk, say, watched};
use crate::made::{MANIFEST, bytes, descriptor};
use crate::registry::{Registry, no_login};
use crate::tar_file::{Member, TarFile};

/// The most the program itself may have resident, bytes.
const MOST: u64 = 100 << 20;

/// Of each of the layer's files.
const FILE: u64 = 256 << 20;

/// Half noise, half text: compresses to about half.
struct Mixed {
    state: u64,
    left: u64,
}

impl Read for Mixed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap());
        for (number, piece) in buffer[..count].chunks_mut(8).enumerate() {
            if number % 2 == 0 {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
            }
            let word = self.state.to_le_bytes();
            match number % 2 {
                0 => piece.copy_from_slice(&word[..piece.len()]),
                _ => piece.fill(b'a'),
            }
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Counts and sums up what is written.
struct Summed<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<W> Summed<W> {
    fn new(inner: W) -> Self {
        Summed {
            inner,
            hash: Sha256::new(),
            length: 0,
        }
    }

    fn digest(self) -> String {
        let digits: String = self
            .hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{digits}")
    }
}

/// `cargo test --workspace --test registry -- --ignored --nocapture memory`
#[test]
#[ignore = "takes 8 GB of disk and minutes"]
fn a_layer_of_two_gigabytes_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = folder.path().join("layout");
    let blobs = layouts.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let place = blobs.join("layer");
    let file = BufWriter::with_capacity(1 << 20, fs_err::File::create(&place).unwrap());
    let compressed = Summed::new(file);
    let encoder = flate2::write::GzEncoder::new(compressed, flate2::Compression::fast());
    let mut plain = Summed::new(encoder);
    for number in 0..(2 << 30) / FILE {
        let mut head = TarFile::new();
        let name = format!("file-{number}");
        let member = Member {
            size: Some(FILE),
            ..Member::file(&name)
        };
        head.add(&member, b"");
        plain.write_all(&head.part()).unwrap();
        let mut content = Mixed {
            state: number + 1,
            left: FILE,
        };
        std::io::copy(&mut content, &mut plain).unwrap();
    }
    plain.write_all(&[0; 1024]).unwrap();
    let Summed {
        inner,
        hash,
        length,
    } = plain;
    let diff_id = Summed {
        inner: (),
        hash,
        length,
    }
    .digest();
    let mut compressed = inner.finish().unwrap();
    compressed.flush().unwrap();
    let packed = compressed.length;
    let layer = compressed.digest();
    fs_err::rename(&place, blobs.join(layer.strip_prefix("sha256:").unwrap())).unwrap();

    let config = bytes(&json!({
        "os": "linux", "architecture": "amd64", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    }));
    let manifest = bytes(&json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": layer, "size": packed,
        }],
    }));
    for blob in [&config, &manifest] {
        fs_err::write(blobs.join(Digest::of(blob).hex()), blob).unwrap();
    }
    let mut entry = descriptor(MANIFEST, &manifest);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "large" });
    let index = bytes(&json!({ "schemaVersion": 2, "manifests": [entry] }));
    fs_err::write(layouts.join("index.json"), index).unwrap();
    fs_err::write(
        layouts.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();

    let registry = Registry::start(folder.path(), &no_login(), None);
    registry.push(&layouts, "large", "large/layer:1", &[]);
    fs_err::remove_dir_all(&layouts).unwrap();
    let desk = Desk::new();
    desk.image(
        "large",
        &format!("{{ oci = \"{}/large/layer:1\" }}", registry.address()),
    );
    let begun = std::time::Instant::now();
    let fetched = watched(&mut desk.command(&[]));
    assert_eq!(fetched.status, Some(0), "{}", fetched.said);
    say(&format!(
        "a layer of {length} bytes, {packed} in gzip: {:.1} s, {} MiB at most",
        begun.elapsed().as_secs_f64(),
        fetched.peak >> 20
    ));
    assert!(fetched.peak > 1 << 20, "it was not looked at");
    assert!(fetched.peak < MOST, "{} bytes", fetched.peak);
}
