//! Images that are not made of packages: how their files say so, and how a selector
//! names one without a file.

use std::path::Path;
use std::sync::Arc;

use plan::{Checksum, ImageSource, Project, SourceFile, select_images};

fn project(images: &[&str]) -> Result<Project, String> {
    let file = |name: &str, text: &str| {
        Arc::new(SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
        })
    };
    let kernels = file(
        "kernels.toml",
        "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\n",
    );
    let checks = file(
        "images/checks.toml",
        "[[check]]\nname = \"ls\"\ncommand = [\"ls\"]\nentrypoint = true\n",
    );
    let images: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(number, text)| file(&format!("images/{number}.toml"), text))
        .collect();
    plan::resolve(Path::new("/p"), &kernels, &images, Some(&checks))
        .map_err(|diagnostics| diagnostics.to_string())
}

fn source(text: &str) -> Result<ImageSource, String> {
    let project = project(&[&format!("name = \"i\"\nsource = {{ {text} }}\n")])?;
    Ok(project.images[0].image.sources[0].clone())
}

#[test]
fn every_kind_of_source_is_read() {
    let sha256 = "0a".repeat(32);
    for (text, words) in [
        (
            "oci = \"alpine:3.20\"".to_owned(),
            "docker.io/library/alpine:3.20",
        ),
        (
            "oci = \"docker://quay.io/a/b\", architecture = \"386\", insecure = true".to_owned(),
            "quay.io/a/b:latest i386",
        ),
        (
            "archive = \"a.tar\", image = \"b:1\"".to_owned(),
            "/p/a.tar b:1",
        ),
        (
            "daemon = \"podman\", image = \"b:1\"".to_owned(),
            "podman b:1",
        ),
        (
            format!("tarball = \"https://m.example/a.tar\", sha256 = \"{sha256}\""),
            "https://m.example/a.tar",
        ),
        ("tarball = \"a.tar\"".to_owned(), "/p/a.tar"),
    ] {
        assert_eq!(source(&text).unwrap().to_string(), words, "{text}");
    }
    let checksums = source(
        "tarball = \"https://m.example/a.tar\", checksums = \"https://m.example/SHA256SUMS\"",
    );
    assert!(matches!(
        checksums,
        Ok(ImageSource::Download(download)) if matches!(&download.checksum, Checksum::File(_))
    ));
}

#[test]
fn mistakes_are_told() {
    for (text, words) in [
        ("oci = \"Alpine\"", "lower case"),
        ("oci = \"alpine\", insecure = 1", "true or false"),
        ("oci = \"alpine\", image = \"x\"", "unknown key `image`"),
        ("daemon = \"dockr\", image = \"x\"", "did you mean `docker`"),
        ("daemon = \"docker\"", "lacks `image`"),
        ("daemon = \"docker\", image = \"--x\"", "cannot be an image"),
        ("tarball = \"https://m.example/a\"", "without `sha256`"),
        (
            "tarball = \"https://m.example/a\", sha256 = \"12\"",
            "no SHA-256",
        ),
        ("tarball = \"a\", sha256 = \"12\"", "of this machine"),
        ("oci = \"a\", archive = \"b\"", "at once"),
    ] {
        let error = source(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

const TAGGED: [&str; 3] = [
    "name = \"a:1\"\nsource = { oci = \"a\" }\ntags = { family = \"rhel\", eol = \"yes\" }\noptional = true\n",
    "name = \"a:2\"\nsource = { oci = \"a\" }\ntags = { family = \"rhel\", eol = \"no\" }\nuser = \"1\"\nenvironment = { A = \"b\" }\n",
    "name = \"b\"\nsource = { oci = \"b\" }\n",
];

fn selected(selector: &str) -> Result<Vec<String>, String> {
    let project = project(&TAGGED).unwrap();
    select_images(&project, &[selector.to_owned()], Path::new("/"))
        .map(|found| found.into_iter().map(|entry| entry.image.name).collect())
        .map_err(|error| error.to_string())
}

#[test]
fn tags_select() {
    assert_eq!(selected("family=rhel").unwrap(), ["a:1", "a:2"]);
    assert_eq!(selected("family=rh*+eol=yes").unwrap(), ["a:1"]);
    assert!(
        selected("family=suse")
            .unwrap_err()
            .contains("no image has such tags")
    );
    let error = selected("libc=musl").unwrap_err();
    assert!(error.contains("some have eol, family"), "{error}");
}

#[test]
fn a_registrys_reference_needs_no_file() {
    let project = project(&TAGGED).unwrap();
    for (selector, whole) in [
        (
            "docker.io/library/alpine:3.20",
            "docker.io/library/alpine:3.20",
        ),
        ("docker://alpine:3.20", "docker.io/library/alpine:3.20"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
    ] {
        let found = select_images(&project, &[selector.to_owned()], Path::new("/nowhere")).unwrap();
        assert_eq!(found[0].image.name, selector);
        assert_eq!(found[0].image.sources[0].to_string(), whole);
    }
    for selector in ["./docker.io/a", "library/alpine", "docker.io/UPPER"] {
        assert!(selected(selector).is_err(), "{selector}");
    }
}

#[test]
fn a_file_or_folder_is_a_path_even_where_it_looks_like_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("my.root/fs");
    std::fs::create_dir_all(&root).unwrap();
    let project = project(&TAGGED).unwrap();
    let found = select_images(&project, &["my.root/fs".to_owned()], folder.path()).unwrap();
    assert_eq!(
        found[0].image.sources,
        [ImageSource::Directory(root.clone())]
    );
    std::fs::write(root.join("oci-layout"), "{}").unwrap();
    let found = select_images(&project, &["my.root/fs".to_owned()], folder.path()).unwrap();
    assert!(matches!(found[0].image.sources[0], ImageSource::Archive(_)));
}

#[test]
fn what_the_file_gives_is_told_from_defaults() {
    let project = project(&TAGGED).unwrap();
    let (first, second) = (&project.images[0].image, &project.images[1].image);
    assert!(first.optional && !second.optional);
    assert!(first.checks[0].entrypoint);
    assert_eq!((first.given.user, second.given.user), (false, true));
    assert_eq!(second.given.environment, [("A".to_owned(), "b".to_owned())]);
    assert_eq!(second.environment.len(), 2);
}
