//! How a mirror is reached: through the proxies and by the certificates that the
//! environment names. `matrix doctor` asks the mirrors and nothing else; a mirror
//! that was reached and has nothing says so.

use std::path::PathBuf;
use std::process::Output;

use crate::authority::Authority;
use crate::loopback::Server;
use crate::project::Project;

/// What doctor says of a mirror that was reached and has nothing.
const REACHED: &str = "has no suite";

/// What the environment can name; those not named here are not set.
const VARIABLES: [&str; 12] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "MATRIX_DEBIAN_MIRROR",
    "MATRIX_DEBIAN_SECURITY_MIRROR",
];

fn doctor(mirror: &str, environment: &[(&str, &str)]) -> String {
    let project = Project::new();
    let cache = project.root().join("cache");
    let mut command = project.command(&["doctor", "--cache", cache.to_str().unwrap()]);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let output: Output = command
        .env("MATRIX_DEBIAN_MIRROR", mirror)
        .env("MATRIX_DEBIAN_SECURITY_MIRROR", mirror)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    // No such mirror has anything.
    assert_eq!(output.status.code(), Some(3));
    String::from_utf8(output.stdout).unwrap()
}

fn pem(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    fs_err::write(&path, content).unwrap();
    (folder, path)
}

#[test]
fn certificates_that_the_environment_names_are_trusted() {
    let authority = Authority::new();
    let server = Server::empty(Some(authority.server("localhost", false)));
    let mirror = format!("https://localhost:{}/debian", server.port());
    let (folder, file) = pem(&authority.pem);
    for (variable, value) in [
        ("SSL_CERT_FILE", file.to_str().unwrap()),
        ("SSL_CERT_DIR", folder.path().to_str().unwrap()),
    ] {
        let before = server.requests().len();
        let said = doctor(&mirror, &[(variable, value)]);
        assert!(said.contains(REACHED), "{variable}: {said}");
        let requests = server.requests();
        assert!(
            requests[before..]
                .contains(&"GET /debian/dists/bookworm/InRelease HTTP/1.1".to_owned()),
            "{requests:?}"
        );
    }
    let said = doctor(&mirror, &[("SSL_CERT_FILE", "/no/such/file")]);
    assert!(
        said.contains("/no/such/file") && said.contains("hint: SSL_CERT_FILE"),
        "{said}"
    );
}

#[test]
fn a_wrong_certificate_is_refused_and_says_what_is_wrong_with_it() {
    let authority = Authority::new();
    let (_folder, file) = pem(&authority.pem);
    let trusted = [("SSL_CERT_FILE", file.to_str().unwrap())];
    for (server, environment, reason) in [
        (
            authority.server("localhost", false),
            &[][..],
            "nobody this machine trusts has signed it",
        ),
        (
            Authority::new().server("localhost", false),
            &trusted[..],
            "nobody this machine trusts has signed it",
        ),
        (
            authority.server("localhost", true),
            &trusted[..],
            "it has expired",
        ),
        (
            authority.server("example.org", false),
            &trusted[..],
            "it is another host's",
        ),
    ] {
        let server = Server::empty(Some(server));
        let mirror = format!("https://localhost:{}/debian", server.port());
        let said = doctor(&mirror, environment);
        let words = format!("its certificate is refused: {reason}");
        assert!(said.contains(&words), "{reason}: {said}");
        assert!(said.contains("hint: where a proxy"), "{said}");
        assert_eq!(server.requests(), [""; 0], "nothing was asked of it");
    }
}

#[test]
fn proxies_that_the_environment_names_are_used_and_those_it_excepts_are_not() {
    let authority = Authority::new();
    let (_folder, file) = pem(&authority.pem);
    let plain = Server::empty(None);
    let secure = Server::empty(Some(authority.server("localhost", false)));
    let plain_mirror = format!("http://localhost:{}/debian", plain.port());
    let secure_mirror = format!("https://localhost:{}/debian", secure.port());
    let trusted = ("SSL_CERT_FILE", file.to_str().unwrap());

    for (http, https) in [("HTTP_PROXY", "HTTPS_PROXY"), ("http_proxy", "https_proxy")] {
        // Plain HTTP is asked of the proxy, and the server hears nothing.
        let proxy = Server::proxy();
        let url = format!("http://127.0.0.1:{}", proxy.port());
        let said = doctor(&plain_mirror, &[(http, &url)]);
        assert!(said.contains(REACHED), "{http}: {said}");
        let asked = format!("GET {plain_mirror}/dists/bookworm/InRelease HTTP/1.1");
        assert!(proxy.requests().contains(&asked), "{:?}", proxy.requests());
        assert_eq!(plain.requests(), [""; 0]);

        // HTTPS goes through it in a tunnel: the certificate is the server's.
        let before = secure.requests().len();
        let said = doctor(&secure_mirror, &[(https, &url), trusted]);
        assert!(said.contains(REACHED), "{https}: {said}");
        let tunnel = format!("CONNECT localhost:{} HTTP/1.1", secure.port());
        assert!(proxy.requests().contains(&tunnel), "{:?}", proxy.requests());
        assert!(secure.requests().len() > before);
    }

    // Nobody listens at port 9: what is excepted does not go there.
    let dead = "http://127.0.0.1:9";
    let said = doctor(&plain_mirror, &[("HTTP_PROXY", dead)]);
    assert!(said.contains("no connection"), "{said}");
    for variable in ["NO_PROXY", "no_proxy"] {
        let said = doctor(
            &plain_mirror,
            &[("HTTP_PROXY", dead), (variable, "localhost")],
        );
        assert!(said.contains(REACHED), "{variable}: {said}");
    }
    assert!(!plain.requests().is_empty());
}
