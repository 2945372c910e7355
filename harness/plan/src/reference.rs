//! References to images in registries: `docker.io/library/alpine:3.20`,
//! `quay.io/centos/centos@sha256:…`, and docker's short forms of them.

use std::fmt;

/// The registry that names without a host are in.
const DEFAULT_REGISTRY: &str = "docker.io";

/// The longest repository name a registry takes, bytes.
const LONGEST_REPOSITORY: usize = 255;

/// Where an image is in a registry; nothing left out, nothing abbreviated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    /// Host and port: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/alpine`.
    pub repository: String,
    /// `3.20`. With a digest beside it, it is a word for people only.
    pub tag: Option<String>,
    /// `sha256:…` of the manifest or index, lower case.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Reads a reference as docker does: a first part with a dot or a colon, or
    /// `localhost`, is a registry; without one it is docker.io's, where a name
    /// without a slash is in `library/`; no tag and no digest is `latest`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a sentence's end, and the mend where there is one.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |reason| ReferenceError {
            text: text.to_owned(),
            reason,
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[last..].rfind(':') {
            // `localhost:5000` alone is no image.
            Some(colon) => (
                &name[..last + colon],
                Some(name[last + colon + 1..].to_owned()),
            ),
            None => (name, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if is_host(host) => (host, rest),
            _ => (DEFAULT_REGISTRY, name),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
                DEFAULT_REGISTRY
            }
            other => other,
        };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if !is_authority(registry) {
            return Err(refuse("its registry is no host name"));
        }
        if repository.chars().any(char::is_uppercase) {
            return Err(refuse("names in a registry are in lower case"));
        }
        if repository.len() > LONGEST_REPOSITORY || !repository.split('/').all(is_component) {
            return Err(refuse(
                "a name in a registry is made of lower-case letters and digits, with . _ - between them",
            ));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse(
                "a tag is made of at most 128 letters, digits and . _ -, and begins with none of . -",
            ));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(refuse(
                "a digest is `sha256:` and 64 hexadecimal digits in lower case",
            ));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag,
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest: digest.map(str::to_owned),
        })
    }

    /// Whether a word of a command line that has a slash in it names a registry:
    /// its first part could only be a host. `./x` and `../x` are paths.
    pub fn has_host(text: &str) -> bool {
        text.split_once('/')
            .is_some_and(|(host, rest)| !rest.is_empty() && is_host(host) && is_authority(host))
    }

    /// What a registry is asked for: the digest where there is one.
    pub fn asked(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }

    /// The registry's host without its port, brackets of an IPv6 address off.
    pub fn host(&self) -> &str {
        host_of(&self.registry)
    }
}

/// The host of `HOST[:PORT]`, brackets of an IPv6 address off.
pub fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no image of a registry: {reason}")]
pub struct ReferenceError {
    /// As given.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// docker's rule for what is a registry and not the first part of a name.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = text.starts_with('[');
    let good = |letter: char| {
        letter.is_ascii_alphanumeric()
            || letter == '-'
            || letter == '.'
            || bracketed && letter == ':'
    };
    let ends = |letter: char| letter.is_ascii_alphanumeric() || bracketed && letter == ':';
    !host.is_empty()
        && host.chars().all(good)
        && host.starts_with(ends)
        && host.ends_with(ends)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Letters and digits, with one of `.`, `_`, `__` or any number of `-` between.
fn is_component(part: &str) -> bool {
    let alphanumeric = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    if !part.starts_with(alphanumeric) || !part.ends_with(alphanumeric) {
        return false;
    }
    part.split(alphanumeric)
        .all(|mark| matches!(mark, "" | "." | "_" | "__") || mark.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && tag
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_dockers() {
        for (text, whole) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("docker.io/alpine", "docker.io/library/alpine:latest"),
            (
                "index.docker.io/library/alpine:3",
                "docker.io/library/alpine:3",
            ),
            (
                "rockylinux/rockylinux:9",
                "docker.io/rockylinux/rockylinux:9",
            ),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a:b", "localhost:5000/a:b"),
            ("[::1]:5000/a/b_c", "[::1]:5000/a/b_c:latest"),
            (
                "quay.io/centos/centos:stream9",
                "quay.io/centos/centos:stream9",
            ),
            ("r.example/a__b/c-.d", ""),
            ("r.example/a__b/c--d", "r.example/a__b/c--d:latest"),
        ] {
            let parsed = ImageReference::parse(text).map(|reference| reference.to_string());
            match whole {
                "" => assert!(parsed.is_err(), "{text}"),
                _ => assert_eq!(parsed.as_deref(), Ok(whole), "{text}"),
            }
        }
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = ImageReference::parse(&format!("alpine:3@{digest}")).unwrap();
        assert_eq!(
            (pinned.asked(), pinned.tag.as_deref()),
            (&*digest, Some("3"))
        );
        let pinned = ImageReference::parse(&format!("alpine@{digest}")).unwrap();
        assert_eq!(pinned.tag, None);
        assert_eq!(
            pinned.to_string(),
            format!("docker.io/library/alpine@{digest}")
        );
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "a name in a registry"),
            ("Alpine", "lower case"),
            ("alpine:", "a tag"),
            ("alpine:-1", "a tag"),
            ("alpine@sha256:12", "a digest"),
            ("alpine@sha1:12", "a digest"),
            ("a//b", "a name in a registry"),
            ("a/../b", "a name in a registry"),
            ("r.example:0/a", "no host name"),
            ("r.example:x/a", "no host name"),
            ("-r.example/a", "no host name"),
            ("a b", "a name in a registry"),
        ] {
            let error = ImageReference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn hosts_are_told_from_paths() {
        for text in ["docker.io/alpine", "localhost/a", "127.0.0.1:5000/a"] {
            assert!(ImageReference::has_host(text), "{text}");
        }
        for text in ["./a", "../a", "/a/b", "a/b", "alpine", "docker.io/"] {
            assert!(!ImageReference::has_host(text), "{text}");
        }
    }

    #[test]
    fn hosts_lose_their_port() {
        assert_eq!(host_of("localhost:5000"), "localhost");
        assert_eq!(host_of("[::1]:5000"), "::1");
        assert_eq!(host_of("docker.io"), "docker.io");
    }
}
