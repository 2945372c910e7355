//! Images of Debian's docker-registry: over plain http and TLS, of both kinds of
//! manifest, and with every way to log in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::authority::Authority;
use crate::desk::{Desk, oci};
use crate::made::{Image, Pack, layout};
use crate::registry::{Registry, no_login, password_file};
use crate::tar_file::{Member, TarFile};
use crate::token_server::{Asked, REFRESH_TOKEN, SERVICE, TokenServer};

/// One layer with the file /which.
fn image(architecture: &str, which: &str) -> Image {
    let mut tar = TarFile::new();
    tar.add(&Member::file("which"), which.as_bytes());
    Image::new(architecture, &[(&tar.end(), Pack::Gzip)])
}

/// Storage in which `public/image:1` and `private/image:1` are, put there by skopeo.
fn filled(folder: &Path) {
    let registry = Registry::start(folder, &no_login(), None);
    let layout_folder = folder.join("layout");
    layout(&layout_folder, &[("one", &image("amd64", "one"))], &[]);
    for name in ["public/image:1", "private/image:1"] {
        registry.push(&layout_folder, "one", name, &[]);
    }
}

/// What the image's /which says.
fn which(desk: &Desk, reference: &str, architecture: &str) -> String {
    let disk = desk.disk(&oci(reference, architecture));
    let contents = supply::Contents::open(&disk.path).unwrap();
    String::from_utf8(contents.read("/which").unwrap()).unwrap()
}

fn source(reference: &str) -> String {
    format!("{{ oci = \"{reference}\" }}")
}

#[test]
fn both_kinds_of_manifest_and_an_index_come_from_a_registry_over_plain_http() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path(), &no_login(), None);
    let layouts = folder.path().join("layout");
    let (amd64, i386) = (image("amd64", "amd64"), image("386", "i386"));
    layout(
        &layouts,
        &[("one", &amd64)],
        &[("both", &[i386.clone(), amd64.clone()])],
    );
    registry.push(&layouts, "one", "made/oci:1", &[]);
    registry.push(&layouts, "both", "made/both:1", &[]);
    registry.push(&layouts, "one", "made/docker:1", &["--format", "v2s2"]);

    let desk = Desk::new();
    let of = |name: &str| format!("{}/made/{name}:1", registry.address());
    desk.image("oci", &source(&of("oci")));
    desk.image("docker", &source(&of("docker")));
    desk.image("amd64", &source(&of("both")));
    desk.image(
        "i386",
        &format!("{{ oci = \"{}\", architecture = \"i386\" }}", of("both")),
    );
    let fetched = desk.fetched(&[]);
    assert!(fetched.said.contains("4 of 4 images"), "{}", fetched.said);
    for (name, architecture) in [
        ("oci", "amd64"),
        ("docker", "amd64"),
        ("both", "amd64"),
        ("both", "i386"),
    ] {
        assert_eq!(
            which(&desk, &of(name), architecture),
            architecture,
            "{name}"
        );
    }
    // skopeo did write the other kind.
    let kinds = |name: &str| {
        let disk = desk.disk(&oci(&of(name), "amd64"));
        let digest = disk.digest.strip_prefix("sha256:").unwrap().to_owned();
        fs_err::read_to_string(desk.cache().join("blob").join(digest)).unwrap()
    };
    assert!(kinds("docker").contains("vnd.docker.distribution.manifest.v2+json"));
    assert!(kinds("oci").contains("vnd.oci.image.manifest.v1+json"));
}

#[test]
fn a_registry_with_tls_is_trusted_by_the_authority_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let authority = Authority::new();
    let issued = authority.issue("localhost", false);
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs_err::write(&path, content).unwrap();
        path
    };
    let certificate = file("server.pem", &issued.certificate.pem());
    let key = file("server.key", &issued.key.serialize_pem());
    let trusted = file("authority.pem", &authority.pem);
    let another = file("another.pem", &Authority::new().pem);
    let registry = Registry::start(folder.path(), &no_login(), Some((&certificate, &key)));
    let reference = format!("{}/public/image:1", registry.name());

    let desk = Desk::new();
    desk.image("made", &source(&reference));
    for environment in [&[][..], &[("SSL_CERT_FILE", another.to_str().unwrap())]] {
        let said = desk.refused(environment);
        assert!(
            said.contains("its certificate is refused: nobody this machine trusts has signed it")
                && said.contains("SSL_CERT_FILE"),
            "{said}"
        );
        assert_eq!(desk.kept(), [""; 0].map(Into::<std::path::PathBuf>::into));
    }
    desk.fetched(&[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    assert_eq!(which(&desk, &reference, "amd64"), "one");
    let wrong = format!("127.0.0.1:{}", registry.name().split(':').nth(1).unwrap());
    let desk = Desk::new();
    desk.image("made", &source(&format!("{wrong}/public/image:1")));
    let said = desk.refused(&[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    assert!(said.contains("it is another host's"), "{said}");
}

/// How to be somebody.
struct Way {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
}

/// All ways that there are, for a registry at this address; their files are in
/// `folder`.
fn ways(folder: &Path, address: &str, password: &str) -> Vec<Way> {
    let file = |name: &str, content: String| {
        let path = folder.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path.display().to_string()
    };
    let folder_of = |path: String| {
        let parent = Path::new(&path).parent().unwrap();
        parent.display().to_string()
    };
    let encoded = STANDARD.encode(format!("somebody:{password}"));
    let auths = |key: String| json!({ "auths": { key: { "auth": encoded } } }).to_string();
    // docker-credential-helpers' protocol: `get`, the server on stdin, JSON on stdout.
    let helper = |name: &str| {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = get ] || exit 2\nread -r server\n\
             [ \"$server\" = {address} ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
             printf '{{\"ServerURL\":\"%s\",\"Username\":\"somebody\",\"Secret\":\"{password}\"}}' \"$server\"\n"
        );
        let path = file(&format!("bin/docker-credential-{name}"), script);
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        ("PATH", format!("{}/bin:{path}", folder.display()))
    };
    vec![
        Way {
            name: "auths of docker's config.json",
            environment: vec![(
                "DOCKER_CONFIG",
                folder_of(file("docker/config.json", auths(address.to_owned()))),
            )],
        },
        Way {
            name: "auths with a URL, in podman's auth.json",
            environment: vec![(
                "REGISTRY_AUTH_FILE",
                file("auth.json", auths(format!("https://{address}"))),
            )],
        },
        Way {
            name: "credHelpers",
            environment: vec![
                helper("one"),
                (
                    "DOCKER_CONFIG",
                    folder_of(file(
                        "helped/config.json",
                        json!({ "credHelpers": { address: "one" } }).to_string(),
                    )),
                ),
            ],
        },
        Way {
            name: "credsStore",
            environment: vec![
                helper("all"),
                (
                    "DOCKER_CONFIG",
                    folder_of(file(
                        "stored/config.json",
                        json!({ "credsStore": "all", "auths": { address: {} } }).to_string(),
                    )),
                ),
            ],
        },
        Way {
            name: "the environment",
            environment: vec![
                ("MATRIX_REGISTRY_HOST", address.to_owned()),
                ("MATRIX_REGISTRY_USERNAME", "somebody".to_owned()),
                ("MATRIX_REGISTRY_PASSWORD", password.to_owned()),
            ],
        },
    ]
}

impl Way {
    fn environment(&self) -> Vec<(&str, &str)> {
        let all = self.environment.iter();
        all.map(|(name, value)| (*name, value.as_str())).collect()
    }
}

#[test]
fn a_registry_that_wants_a_name_and_password_gets_them_from_every_place() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let registry = Registry::start(folder.path(), &password_file(folder.path()), None);
    let reference = format!("{}/private/image:1", registry.address());

    // To nobody it shows nothing, and what would mend that is said.
    let desk = Desk::new();
    desk.image("made", &source(&reference));
    let said = desk.refused(&[]);
    let hint = format!("hint: `docker login {}`", registry.address());
    assert!(
        said.contains("the registry refuses") && said.contains(&hint),
        "{said}"
    );
    assert!(desk.kept().is_empty(), "{:?}", desk.kept());

    for way in ways(folder.path(), &registry.address(), "correct horse") {
        let desk = Desk::new();
        desk.image("made", &source(&reference));
        let fetched = desk.fetch(&way.environment());
        assert_eq!(fetched.status, Some(0), "{}: {}", way.name, fetched.said);
        assert_eq!(which(&desk, &reference, "amd64"), "one", "{}", way.name);
    }
    for way in ways(folder.path(), &registry.address(), "wrong") {
        let desk = Desk::new();
        desk.image("made", &source(&reference));
        let said = desk.refused(&way.environment());
        assert!(
            said.contains("the registry refuses"),
            "{}: {said}",
            way.name
        );
        assert!(!said.contains("wrong"), "a password is in: {said}");
        assert!(desk.kept().is_empty(), "{:?}", desk.kept());
    }
    assert!(!registry.log().is_empty());
}

#[test]
fn a_registry_that_wants_tokens_sends_to_who_gives_them() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let tokens = TokenServer::start();
    let registry = Registry::start(folder.path(), &tokens.configuration(folder.path()), None);
    let reference = |name: &str| format!("{}/{name}/image:1", registry.address());
    // One token does for the manifest, the configuration and all layers.
    let asked_once = |name: &str, method: &str, by: Option<&str>, way: &str| {
        let asked: Vec<Asked> = tokens.asked();
        assert_eq!(asked.len(), 1, "{way}: {asked:?}");
        assert_eq!(asked[0].method, method, "{way}");
        assert_eq!(asked[0].by.as_deref(), by, "{way}");
        assert_eq!(asked[0].fields["service"], SERVICE, "{way}");
        let scope = format!("repository:{name}/image:pull");
        assert_eq!(asked[0].fields["scope"], scope, "{way}");
    };

    // Nobody gets what is everybody's, and no more.
    let desk = Desk::new();
    desk.image("made", &source(&reference("public")));
    desk.fetched(&[]);
    assert_eq!(which(&desk, &reference("public"), "amd64"), "one");
    asked_once("public", "GET", None, "anonymous");
    let desk = Desk::new();
    desk.image("made", &source(&reference("private")));
    let said = desk.refused(&[]);
    assert!(
        said.contains("the registry refuses") && said.contains("docker login"),
        "{said}"
    );
    assert!(desk.kept().is_empty(), "{:?}", desk.kept());
    asked_once("private", "GET", None, "anonymous");

    for way in ways(folder.path(), &registry.address(), "correct horse") {
        let desk = Desk::new();
        desk.image("made", &source(&reference("private")));
        let fetched = desk.fetch(&way.environment());
        assert_eq!(fetched.status, Some(0), "{}: {}", way.name, fetched.said);
        assert_eq!(which(&desk, &reference("private"), "amd64"), "one");
        asked_once("private", "GET", Some("somebody"), way.name);
    }
    for way in ways(folder.path(), &registry.address(), "wrong") {
        let desk = Desk::new();
        desk.image("made", &source(&reference("private")));
        let said = desk.refused(&way.environment());
        let words = "the name and password known for it are not those it takes";
        assert!(said.contains(words), "{}: {said}", way.name);
        assert!(desk.kept().is_empty(), "{:?}", desk.kept());
        tokens.asked();
    }

    // A refresh token, as `docker login` leaves where a registry gives one.
    let address = registry.address();
    let config = json!({ "auths": { address: { "identitytoken": REFRESH_TOKEN } } });
    let place = folder.path().join("refresh");
    fs_err::create_dir_all(&place).unwrap();
    fs_err::write(place.join("config.json"), config.to_string()).unwrap();
    let desk = Desk::new();
    desk.image("made", &source(&reference("private")));
    desk.fetched(&[("DOCKER_CONFIG", place.to_str().unwrap())]);
    asked_once("private", "POST", Some("somebody"), "a refresh token");
}
