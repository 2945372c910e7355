//! A token server as the distribution project's specification describes it
//! (docs/spec/auth/token.md, oauth.md, jwt.md): who asks, for what, and a signed
//! answer that the registry holds against its certificate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::SigningKey as _;
use serde_json::{Value, json};

use crate::authority::{Authority, Issued};

pub(crate) const SERVICE: &str = "registry.test";
const ISSUER: &str = "tokens.test";
pub(crate) const REFRESH_TOKEN: &str = "a/refresh+token=";

/// A request for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The query's fields, or the form's.
    pub(crate) fields: BTreeMap<String, String>,
    /// The name that came with the right password, or with a refresh token.
    pub(crate) by: Option<String>,
}

pub(crate) struct TokenServer {
    port: u16,
    authority: Authority,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TokenServer {
    /// Gives whoever is `somebody` (with `correct horse`) what is asked for, and the
    /// rest of the world what begins with `public/`.
    pub(crate) fn start() -> TokenServer {
        let authority = Authority::new();
        let signer = Arc::new(authority.issue("tokens.test", false));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (kept, stop) = (Arc::clone(&asked), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (kept, signer) = (Arc::clone(&kept), Arc::clone(&signer));
                // What a client that hangs up misses is its own affair.
                std::thread::spawn(move || drop(answer(stream.unwrap(), &kept, &signer)));
            }
        });
        TokenServer {
            port,
            authority,
            asked,
            stopped,
            thread: Some(thread),
        }
    }

    /// `auth:` of a registry that trusts it.
    pub(crate) fn configuration(&self, folder: &Path) -> String {
        let bundle: PathBuf = folder.join("token-authority.pem");
        fs_err::write(&bundle, &self.authority.pem).unwrap();
        format!(
            "auth:\n  token:\n    realm: {}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    \
             rootcertbundle: {}\n",
            self.realm(),
            bundle.display()
        )
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// All requests since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn answer(mut stream: TcpStream, kept: &Mutex<Vec<Asked>>, signer: &Issued) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let form = String::from_utf8(body).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let fields = fields(if method == "POST" { &form } else { query });
    let by = match (&authorization, fields.get("refresh_token")) {
        (Some(header), _) => (*header == basic("somebody", "correct horse")).then_some("somebody"),
        (None, Some(token))
            if fields
                .get("grant_type")
                .is_some_and(|it| it == "refresh_token") =>
        {
            (token == REFRESH_TOKEN).then_some("somebody")
        }
        _ => None,
    };
    let asked = Asked {
        method,
        fields,
        by: by.map(str::to_owned),
    };
    kept.lock().unwrap().push(asked.clone());
    let claims_somebody = authorization.is_some() || asked.fields.contains_key("refresh_token");
    if path != "/token" || (claims_somebody && by.is_none()) {
        let said = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "who are you" }] });
        return say(&mut stream, "401 Unauthorized", &said);
    }
    let token = token(&asked, signer);
    let said = match asked.method.as_str() {
        "POST" => json!({ "access_token": token, "expires_in": 300 }),
        _ => json!({ "token": token }),
    };
    say(&mut stream, "200 OK", &said)
}

/// A JSON Web Token signed by ES256, its certificate with it.
fn token(asked: &Asked, signer: &Issued) -> String {
    let scope = asked.fields.get("scope").map_or("", String::as_str);
    let mut parts = scope.splitn(3, ':');
    let (kind, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let actions: Vec<&str> = parts.next().unwrap_or("").split(',').collect();
    let allowed = asked.by.is_some() || name.starts_with("public/");
    let access = match allowed {
        true => json!([{ "type": kind, "name": name, "actions": actions }]),
        false => json!([]),
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = json!({
        "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(signer.certificate.der())],
    });
    let claims = json!({
        "iss": ISSUER, "sub": asked.by.clone().unwrap_or_default(),
        "aud": asked.fields.get("service"), "access": access,
        "exp": now + 300, "nbf": now - 10, "iat": now, "jti": format!("{now}"),
    });
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = signer.key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bare(&signature)))
}

/// The two numbers of a signature, 32 bytes each, out of their ASN.1.
fn bare(signature: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    // SEQUENCE, length; then twice INTEGER, length, number.
    let mut rest = &signature[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        numbers.extend(std::iter::repeat_n(0, 32 - number.len()));
        numbers.extend(number);
        rest = &rest[2 + length..];
    }
    numbers
}

/// The header's value.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), unescaped(value)))
        .collect()
}

fn unescaped(text: &str) -> String {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3);
        match (
            bytes[at],
            code.and_then(|code| u8::from_str_radix(code, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap()
}

fn say(stream: &mut TcpStream, status: &str, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
