//! The same kernel from every kind of source gives the same column.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rpm::{BuildConfig, CompressionWithLevel, FileOptions, PackageBuilder};
use sha2::{Digest as _, Sha256};

use crate::project::Project;

/// Debian's package and what it unpacks to.
struct Kernel {
    release: String,
    deb: PathBuf,
    folder: PathBuf,
}

fn fetched(project: &Project) -> Kernel {
    let supply = supply::Supply::new(supply::Options {
        cache_root: std::env::var_os("MATRIX_CACHE").map(PathBuf::from),
        offline: false,
        progress: Arc::new(supply::Silent),
        qemu: None,
    })
    .unwrap();
    let source = plan::KernelSource::Apt(plan::AptSource {
        suites: vec![plan::AptSuite {
            archive: plan::Archive::Debian,
            suite: "bookworm".to_owned(),
            allow_expired: false,
        }],
        packages: vec!["linux-image-cloud-amd64".to_owned()],
        architecture: "amd64".to_owned(),
        pinned: Vec::new(),
    });
    let kernel = supply.kernel(&[source]).unwrap();
    let sha256 = &kernel.package["sha256"];
    let deb = project.root().join("kernel.deb");
    match supply.cache().get_blob(sha256) {
        Some(blob) => {
            fs_err::copy(blob, &deb).unwrap();
        }
        // Unpacked, and its package cleaned away.
        None => {
            let http = supply::Http::new(supply::HttpOptions::default(), Arc::new(supply::Silent));
            let want = supply::http::Want {
                url: &kernel.package["url"],
                what: "kernel.deb",
                size: None,
                limit: 1 << 30,
                sha256: Some(sha256),
                validators: None,
            };
            http.fetch(&want, &deb).unwrap();
        }
    }
    Kernel {
        release: kernel.release.unwrap(),
        deb,
        folder: kernel.image.parent().unwrap().to_path_buf(),
    }
}

/// Every file below a folder, from it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push(path.strip_prefix(folder).unwrap().to_path_buf()),
            }
        }
    }
    all.sort();
    all
}

fn sha256(path: &Path) -> String {
    let bytes = fs_err::read(path).unwrap();
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository of two packages, as el splits a kernel.
fn repository(kernel: &Kernel, folder: &Path) {
    let release = &kernel.release;
    let start = |name: &str, compression| {
        let mut builder = PackageBuilder::new(name, "6.1.0", "GPL-2.0", "x86_64", "a kernel");
        builder
            .release("1")
            .using_config(BuildConfig::v4().compression(compression));
        builder
    };
    let at = |file: &str| FileOptions::new(format!("/lib/modules/{release}/{file}"));
    let mut core = start("kernel-core", CompressionWithLevel::Gzip(1));
    for file in ["vmlinuz", "config"] {
        core.with_file(kernel.folder.join(file), at(file)).unwrap();
    }
    let mut modules = start("kernel-modules", CompressionWithLevel::Zstd(1));
    for file in files(&kernel.folder.join("modules")) {
        modules
            .with_file(
                kernel.folder.join("modules").join(&file),
                at(file.to_str().unwrap()),
            )
            .unwrap();
    }
    let mut elements = String::new();
    fs_err::create_dir_all(folder.join("repodata")).unwrap();
    for (name, mut builder) in [("kernel-core", core), ("kernel-modules", modules)] {
        let path = folder.join(format!("{name}.rpm"));
        builder.build().unwrap().write_file(&path).unwrap();
        elements += &format!(
            "<package type=\"rpm\"><name>{name}</name><arch>x86_64</arch><version epoch=\"0\" ver=\"6.1.0\" rel=\"1\"/><checksum type=\"sha256\">{}</checksum><size package=\"{}\"/><location href=\"{name}.rpm\"/></package>",
            sha256(&path),
            fs_err::metadata(&path).unwrap().len(),
        );
    }
    let primary = folder.join("repodata/primary.xml");
    fs_err::write(&primary, format!("<metadata>{elements}</metadata>")).unwrap();
    let repomd = format!(
        "<repomd><data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml\"/></data></repomd>",
        sha256(&primary)
    );
    fs_err::write(folder.join("repodata/repomd.xml"), repomd).unwrap();
}

/// A tree as `make bzImage modules` leaves it.
fn build_tree(kernel: &Kernel, tree: &Path) {
    let put = |from: &Path, to: &str| {
        let to = tree.join(to);
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        fs_err::copy(from, to).unwrap();
    };
    put(&kernel.folder.join("vmlinuz"), "arch/x86/boot/bzImage");
    put(&kernel.folder.join("config"), ".config");
    let modules = kernel.folder.join("modules");
    let mut order = String::new();
    for file in files(&modules) {
        let name = file.to_str().unwrap();
        let to = name.strip_prefix("kernel/").unwrap_or(name);
        put(&modules.join(&file), to);
        if let Some(stem) = to.strip_suffix(".ko") {
            order += &format!("{stem}.o\n");
        }
    }
    fs_err::write(tree.join("modules.order"), order).unwrap();
}

fn tar(kernel: &Kernel, path: &Path) {
    let file = fs_err::File::create(path).unwrap();
    let encoder = zstd::Encoder::new(file, 1).unwrap().auto_finish();
    let mut tar = tar::Builder::new(encoder);
    let release = &kernel.release;
    for (from, to) in [
        (
            "vmlinuz",
            format!("data/kernels/6.1/boot/vmlinuz-{release}"),
        ),
        ("config", format!("data/kernels/6.1/boot/config-{release}")),
    ] {
        tar.append_path_with_name(kernel.folder.join(from), to)
            .unwrap();
    }
    tar.append_dir_all(
        format!("data/kernels/6.1/lib/modules/{release}"),
        kernel.folder.join("modules"),
    )
    .unwrap();
    tar.finish().unwrap();
}

#[test]
fn the_same_kernel_from_every_source_gives_the_same_cells() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.file("images/checks.toml", "");
    let kernel = fetched(&project);
    let root = project.root();
    repository(&kernel, &root.join("repository"));
    build_tree(&kernel, &root.join("linux"));
    tar(&kernel, &root.join("kernel.tar.zst"));
    let entry = |name: &str, source: String| {
        format!("[[kernel]]\nname = \"{name}\"\nversion = \"6.1\"\nsource = {{ {source} }}\n")
    };
    let here = root.display();
    let entries = [
        entry(
            "apt",
            "apt = \"debian\", suite = \"bookworm\", package = \"linux-image-cloud-amd64\""
                .to_owned(),
        ),
        entry(
            "rpm",
            format!("rpm = \"file://{here}/repository\", package = \"kernel-core\""),
        ),
        entry(
            "url",
            format!(
                "url = \"file://{}\", sha256 = \"{}\"",
                kernel.deb.display(),
                sha256(&kernel.deb)
            ),
        ),
        entry("tar", "path = \"kernel.tar.zst\"".to_owned()),
        entry("tree", "path = \"linux\"".to_owned()),
    ];
    project.file("kernels.toml", entries.concat());

    let run = project.run(
        0,
        &[
            "--kernels",
            "apt,rpm,url,tar,tree",
            "--checks",
            "time,read",
            // What a template was kept with is another boot's.
            "--cold",
        ],
    );
    assert_eq!(run.kernels.len(), 5);
    let facts = |column: &report::KernelColumn| {
        let mut facts = column.facts.clone().expect("it came up");
        // The initramfs differs by a few bytes where modules have other paths.
        facts.memory_kib = 0;
        facts
    };
    let outcomes = |kernel: &str| -> Vec<_> {
        let cells = run.cells.iter().filter(|cell| cell.kernel == kernel);
        cells
            .map(|cell| (&cell.image, &cell.check, &cell.outcome))
            .collect()
    };
    assert_eq!(outcomes("apt").len(), 2);
    for column in &run.kernels {
        assert_eq!(
            column.release.as_ref(),
            Some(&kernel.release),
            "{}",
            column.id
        );
        assert_eq!(facts(column), facts(&run.kernels[0]), "{}", column.id);
        assert_eq!(outcomes(&column.id), outcomes("apt"), "{}", column.id);
    }
    let package = |kernel: &str| &run.kernel(kernel).unwrap().package;
    assert_eq!(package("rpm")["name"], "kernel-core");
    assert_eq!(package("rpm")["signature"], "none");
    assert_eq!(package("url")["sha256"], package("apt")["sha256"]);
    assert_eq!(package("url")["version"], package("apt")["version"]);
    assert!(package("tar")["path"].ends_with("/kernel.tar.zst"));
    assert!(package("tree")["path"].ends_with("/linux"));

    // A folder is a selector too.
    let tree = root.join("linux");
    let dry = project.matrix(&["run", "--dry-run", "--kernels", tree.to_str().unwrap()]);
    assert!(dry.status.success(), "{}", crate::project::stderr(&dry));
}
