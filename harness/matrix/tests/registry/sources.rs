//! One run on two kernels with an image of every kind of source.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use supply::Peer;
use verdict::Outcome;

use crate::desk::{done, peer, say};
use crate::loopback::{Server, found, not_found};
use crate::made::{Image, Pack, layout};
use crate::project::{Project, cell};
use crate::registry::{Registry, no_login};
use crate::tar_file::{Member, TarFile};

const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }

[[kernel]]
version = "6.12"
source = { apt = "debian", suite = "trixie", package = "linux-image-cloud-amd64" }
"#;

/// A static program, as an ELF file made by hand: it writes the text to its standard
/// output and ends with 0.
fn program(text: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35]); // lea rsi, [rip + …]
    // From the next instruction on: three more of 5, 2, 5 bytes, then 2 and 2.
    code.extend(16_u32.to_le_bytes());
    code.push(0xba); // mov edx, length
    code.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x0f, 0x05]); // syscall
    code.extend(text.as_bytes());
    let length = HEADERS + code.len() as u64;

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes()); // ET_EXEC
    file.extend(62_u16.to_le_bytes()); // EM_X86_64
    file.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes()); // entry, program headers, section headers
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // PT_LOAD
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, length, length, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// A root file system with /hello, which says this.
fn root(text: &str) -> Vec<u8> {
    let mut tar = TarFile::new();
    for name in ["proc/", "sys/", "dev/", "etc/"] {
        tar.add(&Member::folder(name), b"");
    }
    let hello = Member {
        mode: 0o755,
        ..Member::file("hello")
    };
    tar.add(&hello, &program(text));
    tar.end()
}

fn image(text: &str) -> Image {
    Image::new("amd64", &[(&root(text), Pack::Gzip)])
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An engine that knows one image and has it in a file.
fn fake_engine(folder: &Path, saved: &Path) {
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in\n\
         'image inspect') echo sha256:$(printf %064d 7) ;;\n\
         'save made:1') cat '{}' ;;\n\
         *) echo \"unknown: $*\" >&2; exit 125 ;;\nesac\n",
        saved.display()
    );
    let path = folder.join("podman");
    fs_err::create_dir_all(folder).unwrap();
    fs_err::write(&path, script).unwrap();
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn an_image_of_every_kind_of_source_runs_on_two_kernels() {
    let project = Project::new();
    let place = |name: &str| project.root().join(name);
    project.file("kernels.toml", KERNELS);
    project.file("images/checks.toml", "");
    let add = |name: &str, source: &str| {
        project.file(
            &format!("images/{name}.toml"),
            format!(
                "name = \"{name}\"\nsource = {source}\n\n[[check]]\nname = \"hello\"\n\
                 command = [\"/hello\"]\nstdout = \"^from {name}$\"\n"
            ),
        );
    };

    let folder = place("registry");
    fs_err::create_dir_all(&folder).unwrap();
    let registry = Registry::start(&folder, &no_login(), None);
    let layouts = place("layout");
    let tagged: Vec<(&str, Image)> = ["oci", "layout", "docker-archive", "daemon"]
        .map(|name| (name, image(&format!("from {name}"))))
        .into();
    let named: Vec<(&str, &Image)> = tagged.iter().map(|(name, image)| (*name, image)).collect();
    layout(&layouts, &named, &[]);
    registry.push(&layouts, "oci", "every/kind:1", &[]);
    add(
        "oci",
        &format!("{{ oci = \"{}/every/kind:1\" }}", registry.address()),
    );
    add("layout", "{ archive = \"layout\", image = \"layout\" }");
    for name in ["docker-archive", "daemon"] {
        done(
            peer(Peer::Skopeo)
                .args(["--insecure-policy", "--tmpdir"])
                .arg(project.root())
                .arg("copy")
                .arg(format!("oci:{}:{name}", layouts.display()))
                .arg(format!("docker-archive:{}:made:1", place(name).display()))
                .env("HOME", project.root()),
        );
    }
    add("docker-archive", "{ archive = \"docker-archive\" }");
    fake_engine(&place("bin"), &place("daemon"));
    add("daemon", "{ daemon = \"podman\", image = \"made:1\" }");

    let tars = ["url", "checksums"].map(|name| Pack::Gzip.pack(&root(&format!("from {name}"))));
    let [by_digest, by_file] = tars;
    let digest = sha256(&by_digest);
    let sums = format!(
        "{}  other.tar\n{}  by-file.tar\n",
        sha256(b""),
        sha256(&by_file)
    );
    let server = Server::start(None, move |line, stream| match line.split(' ').nth(1) {
        Some("/by-digest.tar") => found(stream, &by_digest),
        Some("/by-file.tar") => found(stream, &by_file),
        Some("/SHA256SUMS") => found(stream, sums.as_bytes()),
        _ => not_found(stream),
    });
    let at = format!("http://127.0.0.1:{}", server.port());
    add(
        "url",
        &format!("{{ tarball = \"{at}/by-digest.tar\", sha256 = \"{digest}\" }}"),
    );
    add(
        "checksums",
        &format!("{{ tarball = \"{at}/by-file.tar\", checksums = \"{at}/SHA256SUMS\" }}"),
    );
    fs_err::write(place("root.tar"), root("from tarball")).unwrap();
    add("tarball", "{ tarball = \"root.tar\" }");
    for name in ["proc", "sys", "dev", "etc"] {
        fs_err::create_dir_all(place("root").join(name)).unwrap();
    }
    fs_err::write(place("root/hello"), program("from directory")).unwrap();
    fs_err::set_permissions(place("root/hello"), PermissionsExt::from_mode(0o755)).unwrap();
    add("directory", "{ directory = \"root\" }");
    project.file(
        "images/apt.toml",
        "name = \"apt\"\nsource = { apt = \"debian\", suite = \"bookworm\", packages = [\"bash\"] }\n\n\
         [[check]]\nname = \"hello\"\ncommand = [\"bash\", \"-c\", \"echo -n from apt\"]\n\
         stdout = \"^from apt$\"\n",
    );

    let path = std::env::var("PATH").unwrap_or_default();
    let output = project
        .command(&["run", "--accel", "tcg"])
        .env("PATH", format!("{}:{path}", place("bin").display()))
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}\n{trouble}");
    say(&told);
    let run = report::Run::load(&project.newest_run().unwrap()).unwrap();
    assert_eq!(run.cells.len(), 18);
    for name in [
        "oci",
        "layout",
        "docker-archive",
        "daemon",
        "url",
        "checksums",
        "tarball",
        "directory",
        "apt",
    ] {
        for kernel in ["6.1", "6.12"] {
            let cell = cell(&run, kernel, name, "hello");
            assert!(matches!(cell.outcome, Outcome::Pass), "{cell:?}");
        }
    }
}
