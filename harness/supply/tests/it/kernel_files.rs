//! The same kernel as a file, a package, a tar, a build tree, an image; fetched and
//! from this machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use plan::{ArchiveSource, Checksum, DownloadSource, ImageReference, KernelSource, OciSource, Pin};
use rpm::CompressionWithLevel;
use serde_json::{Value, json};
use supply::oci::Digest;
use supply::{KernelFiles, Reach, Stored};

use crate::archive::{gzip, sha256, xz};
use crate::repository::{Asker, V, bytes, bz_image, listing, package};
use crate::server::{Reply, Server};

/// What an installed kernel's files are.
fn files() -> Vec<(String, Vec<u8>)> {
    vec![
        (format!("boot/vmlinuz-{V}"), bz_image(V)),
        (format!("boot/config-{V}"), b"CONFIG_X=y\n".to_vec()),
        (format!("boot/System.map-{V}"), b"0 x".to_vec()),
        (format!("lib/modules/{V}/kernel/fs/a.ko.xz"), b"a".to_vec()),
        (
            format!("lib/modules/{V}/modules.builtin"),
            b"kernel/x.ko\n".to_vec(),
        ),
        ("usr/share/doc/kernel/README".to_owned(), b"x".to_vec()),
    ]
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        // By hand: the builder refuses what a hostile tar has.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    // As Debian's and openSUSE's have it.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, "boot/vmlinuz", format!("vmlinuz-{V}"))
        .unwrap();
    tar.into_inner().unwrap()
}

fn below(prefix: &str) -> Vec<(String, Vec<u8>)> {
    files()
        .into_iter()
        .map(|(path, content)| (format!("{prefix}{path}"), content))
        .collect()
}

fn tar() -> Vec<u8> {
    tar_of(&files())
}

fn deb() -> Vec<u8> {
    let mut archive = ar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        archive.append(&header, content).unwrap();
    };
    let control = b"Package: linux-image-x\nVersion: 5.14-1\nArchitecture: amd64\n";
    add("debian-binary", b"2.0\n");
    add(
        "control.tar.gz",
        &gzip(&tar_of(&[("./control".to_owned(), control.to_vec())])),
    );
    add("data.tar.xz", &xz(&tar_of(&below("./"))));
    archive.into_inner().unwrap()
}

fn rpm() -> Vec<u8> {
    let files = below("/");
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_slice()))
        .collect();
    bytes(&package(
        "kernel",
        "5.14.0-503.el9",
        &files,
        CompressionWithLevel::Xz(1),
    ))
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn path(path: PathBuf) -> KernelSource {
    KernelSource::Path {
        kernel: path,
        modules: None,
    }
}

fn download(url: String, content: &[u8]) -> KernelSource {
    KernelSource::Download(DownloadSource {
        url,
        checksum: Checksum::Sha256(sha256(content)),
    })
}

#[track_caller]
fn is_the_kernel(kernel: &KernelFiles) {
    assert_eq!(kernel.release.as_deref(), Some(V));
    assert_eq!(std::fs::read(&kernel.image).unwrap(), bz_image(V));
    let modules = kernel.modules.as_ref().expect("it has modules");
    assert_eq!(
        listing(modules),
        ["kernel/fs/a.ko.xz", "modules.builtin"],
        "{}",
        modules.display()
    );
    let configuration = kernel.configuration.as_ref().expect("it has a .config");
    assert_eq!(std::fs::read(configuration).unwrap(), b"CONFIG_X=y\n");
}

#[test]
fn a_kernel_is_found_in_whatever_file_it_is() {
    let server = Server::start();
    let asker = Asker::new();
    for (name, content) in [
        ("kernel.deb", deb()),
        ("kernel.rpm", rpm()),
        ("kernel.tar", tar()),
        ("kernel.tar.gz", gzip(&tar())),
        ("kernel.tar.xz", xz(&tar())),
        ("kernel.tar.zst", zstd(&tar())),
        ("deeper.tar", tar_of(&below("data/kernels/5.14/"))),
        ("merged.tar", {
            let merged: Vec<(String, Vec<u8>)> = files()
                .into_iter()
                .map(|(path, content)| (path.replace("lib/modules", "usr/lib/modules"), content))
                .collect();
            tar_of(&merged)
        }),
        // Its name says nothing.
        ("download?id=1", deb()),
    ] {
        let local = asker.file(&format!("files/{name}"), &content);
        let by_path = asker.ask(path(local.clone())).unwrap();
        is_the_kernel(&by_path);
        assert_eq!(by_path.package["sha256"], sha256(&content), "{name}");
        assert_eq!(by_path.package["path"], local.display().to_string());

        let address = format!("/{name}");
        server.on(&address, Reply::File(content.clone()));
        // Nothing is fetched: these bytes are unpacked already.
        let url = server.url(&address);
        let fetched = asker.ask(download(url.clone(), &content)).unwrap();
        assert_eq!(fetched.image, by_path.image, "{name}");
        assert_eq!(fetched.package["url"], url);
        assert!(server.requests(name).is_empty());

        let other = Asker::new();
        is_the_kernel(&other.ask(download(url, &content)).unwrap());
        let url = format!("file://{}", local.display());
        is_the_kernel(&Asker::new().ask(download(url, &content)).unwrap());
    }
    let package = asker
        .ask(path(asker.folder.path().join("files/kernel.deb")))
        .unwrap()
        .package;
    assert_eq!(
        (&*package["name"], &*package["version"]),
        ("linux-image-x", "5.14-1")
    );
    let bare = bz_image(V);
    server.on("/bzImage", Reply::File(bare.clone()));
    let kernel = asker.ask(download(server.url("/bzImage"), &bare)).unwrap();
    assert_eq!(kernel.release.as_deref(), Some(V));
    assert_eq!(kernel.modules, None);
}

#[test]
fn a_file_of_checksums_vouches_as_well() {
    let server = Server::start();
    let content = tar();
    server.on("/k.tar", Reply::File(content.clone()));
    let sums = format!("{}  k.tar\n", sha256(&content));
    server.on("/SHA256SUMS", Reply::File(sums.into_bytes()));
    let source = KernelSource::Download(DownloadSource {
        url: server.url("/k.tar"),
        checksum: Checksum::File(server.url("/SHA256SUMS")),
    });
    is_the_kernel(&Asker::new().ask(source).unwrap());
}

#[test]
fn a_folder_is_an_installed_kernel_or_a_build_tree() {
    let asker = Asker::new();
    let root = asker.folder.path().join("root");
    for (path, content) in files() {
        asker.file(&format!("root/{path}"), &content);
    }
    let kernel = asker.ask(path(root.clone())).unwrap();
    is_the_kernel(&kernel);
    assert!(
        kernel
            .image
            .starts_with(std::fs::canonicalize(&root).unwrap())
    );

    // modules.order of 6.3 and later, of those before, and of old trees.
    for (order, module) in [
        ("fs/a.o\nfs/gone.o\n", "fs/a.ko"),
        ("fs/a.ko\n", "fs/a.ko"),
        ("kernel/fs/a.ko\n", "fs/a.ko"),
        ("kernel/kernel/a.ko\n", "kernel/a.ko"),
        ("kernel/a.o\n", "kernel/a.ko"),
    ] {
        let asker = Asker::new();
        let tree = asker.folder.path().join("linux");
        for (name, content) in [
            ("arch/x86/boot/bzImage", bz_image(V)),
            (".config", b"CONFIG_X=y\n".to_vec()),
            ("modules.order", order.as_bytes().to_vec()),
            ("modules.builtin", b"kernel/x.ko\n".to_vec()),
            (module, b"a".to_vec()),
            ("samples/not-listed.ko", b"x".to_vec()),
        ] {
            asker.file(&format!("linux/{name}"), &content);
        }
        let kernel = asker.ask(path(tree.clone())).unwrap();
        assert_eq!(kernel.release.as_deref(), Some(V), "{order}");
        let modules = kernel.modules.clone().unwrap();
        assert_eq!(
            listing(&modules),
            [
                format!("kernel/{module}"),
                "modules.builtin".to_owned(),
                "modules.order".to_owned()
            ],
            "{order}"
        );
        let linked = modules.join("kernel").join(module);
        assert_eq!(std::fs::read(linked).unwrap(), b"a");
        assert_eq!(asker.ask(path(tree.clone())).unwrap(), kernel);
        asker.file(&format!("linux/{module}"), b"built again");
        let again = asker.ask(path(tree.clone())).unwrap();
        assert_ne!(
            again.digest, kernel.digest,
            "another module, another kernel"
        );
        std::fs::remove_file(tree.join("arch/x86/boot/bzImage")).unwrap();
        let error = asker.ask(path(tree)).unwrap_err();
        assert!(error.contains("hint: make bzImage modules"), "{error}");
    }
}

/// An OCI layout with this layer, and what a registry would have.
fn layout(layer: &[u8]) -> (Vec<(String, Vec<u8>)>, Value) {
    let config = json!({
        "os": "linux", "architecture": "amd64",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer).as_str()] },
    });
    let config = serde_json::to_vec(&config).unwrap();
    let packed = gzip(layer);
    let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::of(bytes).as_str(), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    });
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let index = json!({
        "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", &bytes)],
    });
    let mut files = vec![
        (
            "oci-layout".to_owned(),
            b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec(),
        ),
        ("index.json".to_owned(), serde_json::to_vec(&index).unwrap()),
    ];
    for blob in [config, packed, bytes] {
        let name = format!("blobs/sha256/{}", Digest::of(&blob).hex());
        files.push((name, blob));
    }
    (files, manifest)
}

#[test]
fn an_image_may_hold_a_kernel_in_a_layout_an_archive_and_a_registry() {
    // As little-vm-helper publishes them: `make tar-pkg` below data/kernels.
    let layer = tar_of(&below("data/kernels/5.14-main/"));
    let (files, manifest) = layout(&layer);
    let asker = Asker::new();
    for (name, content) in &files {
        asker.file(&format!("layout/{name}"), content);
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in &files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    let saved = asker.file("saved.tar", &archive.into_inner().unwrap());
    for path in [asker.folder.path().join("layout"), saved] {
        let asker = Asker::new();
        let source = ArchiveSource {
            path: path.clone(),
            image: None,
            architecture: "amd64".to_owned(),
        };
        let kernel = asker.ask(KernelSource::Archive(source)).unwrap();
        is_the_kernel(&kernel);
        assert_eq!(kernel.package["archive"], path.display().to_string());
    }

    let server = Server::start();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    for (name, content) in &files {
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            server.on(
                &format!("/v2/lvh/kernel/blobs/sha256:{digest}"),
                Reply::File(content.clone()),
            );
        }
    }
    for name in ["5.14".to_owned(), Digest::of(&bytes).to_string()] {
        server.on(
            &format!("/v2/lvh/kernel/manifests/{name}"),
            Reply::File(bytes.clone()),
        );
    }
    let address = server.url("");
    let host = address
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let source = OciSource {
        reference: ImageReference::parse(&format!("{host}/lvh/kernel:5.14")).unwrap(),
        architecture: "amd64".to_owned(),
        insecure: false,
    };
    let source = KernelSource::Oci(source);
    is_the_kernel(&asker.ask(source.clone()).unwrap());

    // It is locked by its manifest, whatever becomes of the tag.
    let sources = [source.clone()];
    let (_, pin) = asker.anew().pin_kernel(&sources).unwrap();
    assert_eq!(pin, Pin::Digest(Digest::of(&bytes).to_string()));
    server.on("/v2/lvh/kernel/manifests/5.14", Reply::Status(404));
    let locked = KernelSource::Locked {
        source: Box::new(source.clone()),
        pin,
    };
    is_the_kernel(&Asker::new().ask(locked).unwrap());
    assert!(Asker::new().ask(source.clone()).is_err());
    let other = KernelSource::Locked {
        source: Box::new(source),
        pin: Pin::Digest(Digest::of(b"another").to_string()),
    };
    assert!(Asker::new().ask(other).is_err());
}

#[test]
fn a_file_known_by_its_digest_is_not_asked_for_to_see_who_answers() {
    let server = Server::start();
    server.on("/k.tar", Reply::File(tar()));
    let source = download(server.url("/k.tar"), &tar());
    let asker = Asker::new();
    let supply = asker.hurried();
    let stored = || {
        asker
            .supply(true)
            .standing(std::slice::from_ref(&source))
            .stored
    };
    assert_eq!(supply.probe(&source).unwrap(), Reach::NotAsked);
    assert!(server.requests("k.tar").is_empty());
    assert_eq!(stored(), Stored::Nothing);
    is_the_kernel(&asker.ask(source.clone()).unwrap());
    assert_eq!(supply.probe(&source).unwrap(), Reach::NotAsked);
    assert_eq!(stored(), Stored::Unpacked);

    server.on("/sums", Reply::File(b"x".to_vec()));
    let summed = |name: &str| {
        KernelSource::Download(DownloadSource {
            url: server.url("/k.tar"),
            checksum: Checksum::File(server.url(name)),
        })
    };
    assert_eq!(supply.probe(&summed("/sums")).unwrap(), Reach::Answers);
    assert!(supply.probe(&summed("/gone")).is_err());
}

#[test]
fn what_holds_no_kernel_or_several_or_leads_out_is_refused() {
    let asker = Asker::new();
    let other = "6.1.0-x";
    let mut several = files();
    several.push((format!("boot/vmlinuz-{other}"), bz_image(other)));
    let mut beside = below("a/");
    beside.extend(below("b/"));
    let mut climbing = files();
    climbing.push((
        format!("lib/modules/{V}/../../../../escaped"),
        b"x".to_vec(),
    ));
    let mut cut = tar();
    cut.truncate(cut.len() / 2);
    let gone = files()
        .into_iter()
        .filter(|(path, _)| !path.contains("vmlinuz"));
    let gone: Vec<(String, Vec<u8>)> = gone.collect();
    let whole_rpm = rpm();
    for (name, content, words) in [
        (
            "several",
            tar_of(&several),
            "has several kernels: 5.14.0-503.el9.x86_64, 6.1.0-x",
        ),
        ("beside", tar_of(&beside), "below a/ and below b/"),
        ("climbing", tar_of(&climbing), "climbs out of its tree"),
        ("cut", cut, "cut short"),
        ("none", tar_of(&gone), "no kernel in"),
        ("text.xz", xz(b"text"), "an xz file"),
        (
            "cut.rpm",
            whole_rpm[..whole_rpm.len() - 9].to_vec(),
            "it is damaged",
        ),
        ("page", b"hello\n".to_vec(), "a text file"),
    ] {
        let local = asker.file(name, &content);
        let error = asker.refused(path(local.clone()));
        assert!(error.contains(words), "{name}: {error}");
        let url = format!("file://{}", local.display());
        let error = asker.refused(download(url, &content));
        assert!(error.contains(words), "{name}: {error}");
    }
    assert!(!Path::new("/tmp/escaped").exists());
    let local = asker.file("k.tar", &tar());
    let error = asker.refused(download(format!("file://{}", local.display()), b"other"));
    assert!(error.contains("SHA-256"), "{error}");
    assert_eq!(
        asker.kept("blob"),
        8,
        "the eight that were what they should be"
    );
    let error = asker.refused(KernelSource::Path {
        kernel: local,
        modules: Some("/lib/modules".into()),
    });
    assert!(error.contains("leave `modules` away"), "{error}");
    let empty = asker.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(asker.refused(path(empty)).contains("no kernel in"));
}

#[test]
fn a_compressed_vmlinux_of_debuggers_does_not_hide_the_image() {
    let mut vmlinux = vec![0; 64];
    vmlinux[..5].copy_from_slice(b"\x7fELF\x02");
    vmlinux[16] = 2;
    vmlinux[18] = 62;
    write!(vmlinux, "Linux version {V} (builder@host)").unwrap();
    let mut all = files();
    all.push((format!("boot/vmlinux-{V}"), vmlinux.clone()));
    let asker = Asker::new();
    is_the_kernel(
        &asker
            .ask(path(asker.file("both.tar", &tar_of(&all))))
            .unwrap(),
    );
    // Alone it is the kernel, as in weaveworks/ignite's images.
    let alone: Vec<(String, Vec<u8>)> = all
        .into_iter()
        .filter(|(path, _)| !path.contains("vmlinuz"))
        .map(|(path, content)| (path.replace(&format!("vmlinux-{V}"), "vmlinux"), content))
        .collect();
    let kernel = asker
        .ask(path(asker.file("alone.tar", &tar_of(&alone))))
        .unwrap();
    assert_eq!(kernel.release.as_deref(), Some(V));
    assert_eq!(std::fs::read(&kernel.image).unwrap(), vmlinux);
}
