//! Who asks: what the environment, docker's config.json and its credential helpers,
//! or podman's auth.json know of a registry.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::OciError;

/// docker's own key for docker.io.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a helper says as the name where the secret is a refresh token.
const TOKEN_NAME: &str = "<token>";

/// How to log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A name and a password.
    Password { name: String, password: String },
    /// A refresh token, to be exchanged for an access token.
    Refresh(String),
}

/// Without the secret: this may end in a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Refresh(_) => "Refresh",
        })
    }
}

impl Credentials {
    /// The header's value for a name and a password.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { name, password } => Some(format!(
                "Basic {}",
                encode(format!("{name}:{password}").as_bytes())
            )),
            Self::Refresh(_) => None,
        }
    }
}

/// Where credentials are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    /// Registry, and how to log in there: from the environment.
    given: Option<(String, Credentials)>,
    /// Files, the first that knows the registry counts.
    files: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Store {
    /// `MATRIX_REGISTRY_HOST`, `_USERNAME` and `_PASSWORD`; then
    /// `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`,
    /// and `$XDG_RUNTIME_DIR/containers/auth.json`.
    pub(super) fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        let given = match (
            text("MATRIX_REGISTRY_HOST"),
            text("MATRIX_REGISTRY_USERNAME"),
            text("MATRIX_REGISTRY_PASSWORD"),
        ) {
            (Some(host), Some(name), Some(password)) => {
                Some((host, Credentials::Password { name, password }))
            }
            _ => None,
        };
        let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let files = [
            path("REGISTRY_AUTH_FILE"),
            docker.map(|folder| folder.join("config.json")),
            path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        ];
        Self {
            given,
            files: files.into_iter().flatten().collect(),
        }
    }

    /// Only this file.
    #[cfg(test)]
    pub(super) fn of_file(path: PathBuf) -> Self {
        Self {
            given: None,
            files: vec![path],
        }
    }

    /// How to log in at a registry; none where nothing is known of it.
    pub(super) fn find(&self, registry: &str) -> Result<Option<Credentials>, OciError> {
        if let Some((host, credentials)) = &self.given
            && bare(host) == bare(registry)
        {
            return Ok(Some(credentials.clone()));
        }
        for path in &self.files {
            let text = match fs_err::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let file: File = serde_json::from_str(&text).map_err(|error| broken(path, error))?;
            if let Some(found) = in_file(&file, registry, path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn broken(path: &Path, reason: impl ToString) -> OciError {
    OciError::Credentials {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn in_file(file: &File, registry: &str, path: &Path) -> Result<Option<Credentials>, OciError> {
    let wanted = bare(registry);
    let server = if wanted == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        registry
    };
    let helper = file
        .cred_helpers
        .iter()
        .find(|(key, _)| bare(key) == wanted);
    if let Some((_, helper)) = helper {
        return ask(helper, server);
    }
    if let Some(helper) = file.creds_store.as_ref().filter(|name| !name.is_empty())
        && let Some(found) = ask(helper, server)?
    {
        return Ok(Some(found));
    }
    let Some((_, auth)) = file.auths.iter().find(|(key, _)| bare(key) == wanted) else {
        return Ok(None);
    };
    if let Some(token) = auth
        .identitytoken
        .as_ref()
        .filter(|token| !token.is_empty())
    {
        return Ok(Some(Credentials::Refresh(token.clone())));
    }
    if let (Some(name), Some(password)) = (&auth.username, &auth.password) {
        return Ok(Some(Credentials::Password {
            name: name.clone(),
            password: password.clone(),
        }));
    }
    let Some(encoded) = auth.auth.as_ref().filter(|auth| !auth.is_empty()) else {
        // docker leaves an empty entry where a helper has the secret.
        return Ok(None);
    };
    let decoded = decode(encoded)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| broken(path, format!("the auth of {registry} is no base64")))?;
    match decoded.split_once(':') {
        Some((name, password)) => Ok(Some(Credentials::Password {
            name: name.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
        })),
        None => Err(broken(path, format!("the auth of {registry} has no colon"))),
    }
}

/// Host and port of the ways a registry is written as a key.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    let key = key.strip_prefix("http://").unwrap_or(key);
    let host = key.split('/').next().unwrap_or(key);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// `docker-credential-NAME get`: the server on stdin, JSON on stdout.
fn ask(name: &str, server: &str) -> Result<Option<Credentials>, OciError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| OciError::Helper {
        helper: program.clone(),
        reason,
    };
    if name.contains('/') {
        return Err(failed("a helper's name has no slash in it".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read may have ended already: its words say why.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // The protocol's own words for it.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let said = format!("{} {}", said.trim(), words.trim());
        return Err(failed(format!("{}: {}", output.status, said.trim())));
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("what it prints is not the protocol's JSON".to_owned()))?;
    Ok(Some(if helped.username == TOKEN_NAME {
        Credentials::Refresh(helped.secret)
    } else {
        Credentials::Password {
            name: helped.username,
            password: helped.secret,
        }
    }))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// base64 with padding (RFC 4648, 4).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(
                    ALPHABET[(bits >> (18 - 6 * place)) as usize & 63],
                ));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, registry: &str) -> Result<Option<Credentials>, OciError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        Store::of_file(path).find(registry)
    }

    fn password(name: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password {
            name: name.into(),
            password: password.into(),
        })
    }

    #[test]
    fn auths_are_found_by_every_way_to_write_a_registry() {
        // "user:pa:ss"
        let json = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "r.example:5000": {"username": "a", "password": "b"},
            "https://quay.io": {"identitytoken": "t"}, "empty.example": {}}}"#;
        assert_eq!(found(json, "docker.io").unwrap(), password("user", "pa:ss"));
        assert_eq!(found(json, "r.example:5000").unwrap(), password("a", "b"));
        assert_eq!(
            found(json, "quay.io").unwrap(),
            Some(Credentials::Refresh("t".into()))
        );
        assert_eq!(found(json, "r.example").unwrap(), None);
        assert_eq!(found(json, "empty.example").unwrap(), None);
    }

    #[test]
    fn what_is_broken_is_told_with_the_file() {
        for json in [
            "{",
            r#"{"auths": {"r.example": {"auth": "!"}}}"#,
            r#"{"auths": {"r.example": {"auth": "YQ=="}}}"#,
        ] {
            let error = found(json, "r.example").unwrap_err().to_string();
            assert!(error.contains("config.json"), "{error}");
        }
        let json = r#"{"credHelpers": {"r.example": "../evil"}}"#;
        assert!(matches!(
            found(json, "r.example"),
            Err(OciError::Helper { .. })
        ));
        let json = r#"{"credHelpers": {"r.example": "none-of-this-name"}}"#;
        assert!(matches!(
            found(json, "r.example"),
            Err(OciError::Helper { .. })
        ));
    }

    #[test]
    fn base64_there_and_back() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decode("a b"), None);
    }

    #[test]
    fn secrets_are_in_no_log() {
        let shown = format!("{:?}", password("name", "secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
