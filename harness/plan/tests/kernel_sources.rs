//! Where kernels come from, as kernels.toml says it and as it is shown.

use std::path::Path;
use std::sync::Arc;

use plan::{KernelSource, SourceFile};

fn source(text: &str, project: &Path) -> Result<KernelSource, String> {
    let file = Arc::new(SourceFile {
        name: "kernels.toml".to_owned(),
        text: format!("[[kernel]]\nversion = \"6.1\"\nsource = {{ {text} }}\n"),
    });
    let project = plan::resolve(project, &file, &[], None);
    let project = project.map_err(|diagnostics| diagnostics.to_string())?;
    Ok(project.kernels[0].kernel.sources[0].clone())
}

#[test]
fn every_kind_of_source_is_read() {
    let sha256 = "0a".repeat(32);
    for (text, words) in [
        (
            "apt = \"debian\", suite = \"bookworm\", package = \"linux\"".to_owned(),
            "debian bookworm: linux",
        ),
        (
            "rpm = \"https://r.example/os/\", package = \"kernel\"".to_owned(),
            "https://r.example/os: kernel",
        ),
        (
            "rpm = \"file:///srv/r\", package = \"kernel-core\", version = \"5.14.0-*\", key = \"k.asc\", allow-expired = true".to_owned(),
            "file:///srv/r: kernel-core 5.14.0-*",
        ),
        (
            format!("url = \"https://k.example/k.deb\", sha256 = \"{sha256}\""),
            "https://k.example/k.deb",
        ),
        (
            "url = \"file:///k.tar\", checksums = \"https://k.example/SHA256SUMS\"".to_owned(),
            "file:///k.tar",
        ),
        ("path = \"../linux\"".to_owned(), "/p/../linux"),
        (
            "oci = \"quay.io/lvh-images/kernel-images:6.6-main\"".to_owned(),
            "quay.io/lvh-images/kernel-images:6.6-main",
        ),
        (
            "oci = \"docker://kernels:6.6\", insecure = true".to_owned(),
            "docker.io/library/kernels:6.6",
        ),
        (
            "oci = \"./layout\", image = \"6.6\"".to_owned(),
            "/p/./layout 6.6",
        ),
        ("oci = \"/srv/kernel.tar\"".to_owned(), "/srv/kernel.tar"),
    ] {
        let source = source(&text, Path::new("/p")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(source.to_string(), words, "{text}");
    }
    let KernelSource::Rpm(rpm) = source(
        "rpm = \"https://r.example/os\", package = \"kernel\", key = \"keys/k.asc\"",
        Path::new("/p"),
    )
    .unwrap() else {
        panic!("it is an RPM repository");
    };
    assert_eq!(rpm.key.as_deref(), Some(Path::new("/p/keys/k.asc")));
    assert_eq!((rpm.version, rpm.allow_expired), (None, false));
}

#[test]
fn an_image_that_is_there_as_a_file_is_no_registrys() {
    let project = tempfile::tempdir().unwrap();
    let ask = || source("oci = \"layouts/kernel\"", project.path()).unwrap();
    assert!(matches!(ask(), KernelSource::Oci(_)));
    std::fs::create_dir_all(project.path().join("layouts/kernel")).unwrap();
    assert!(matches!(ask(), KernelSource::Archive(_)));
}
