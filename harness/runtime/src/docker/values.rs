//! The values of docker's options.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::options::Users;
use crate::network::{PortMapping, Protocol};

/// `-v HOST:CONTAINER[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) host: PathBuf,
    pub(super) container: PathBuf,
    pub(super) readonly: bool,
}

pub(super) fn volume(text: &str) -> Result<Volume, String> {
    let mut parts = text.split(':');
    let (Some(host), Some(container)) = (parts.next(), parts.next()) else {
        return Err("wanted HOST:CONTAINER[:ro]".to_owned());
    };
    for path in [host, container] {
        if !path.starts_with('/') {
            return Err(format!("{path:?} is not an absolute path"));
        }
    }
    let mut readonly = false;
    for word in parts.flat_map(|words| words.split(',')) {
        match word {
            "ro" => readonly = true,
            "rw" => readonly = false,
            other => return Err(format!("volume option {other:?} is not implemented")),
        }
    }
    Ok(Volume {
        host: host.into(),
        container: container.into(),
        readonly,
    })
}

pub(super) fn port(text: &str) -> Result<PortMapping, String> {
    let (place, protocol) = match text.rsplit_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
        Some((place, "udp")) => (place, Protocol::Udp),
        Some((_, other)) => return Err(format!("protocol {other:?} is not implemented")),
    };
    let (rest, container) = place
        .rsplit_once(':')
        .ok_or_else(|| "wanted [ADDRESS:]HOST:CONTAINER".to_owned())?;
    let (address, host) = match rest.rsplit_once(':') {
        None => (Ipv4Addr::UNSPECIFIED, rest),
        Some((address, host)) => (
            address
                .parse()
                .map_err(|_parse| format!("{address:?} is no IPv4 address"))?,
            host,
        ),
    };
    let number = |text: &str| match text.parse::<u16>() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no port from 1 to 65535")),
        Ok(port) => Ok(port),
    };
    Ok(PortMapping {
        address,
        host: number(host)?,
        container: number(container)?,
        protocol,
    })
}

/// Bytes; b, k, m and g are powers of 1024, as docker has them.
pub(super) fn size(text: &str) -> Result<i64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: i64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        unit => return Err(format!("no such unit: {unit:?}")),
    };
    digits
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("{text:?} is no size: 512m, 1g"))
}

/// `N.N` processors as microseconds of each 100,000.
pub(super) fn cpus(text: &str) -> Result<i64, String> {
    let refused = || format!("{text:?} is no number of processors: 0.5, 2");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    if part.len() > 5 || !digits(whole) || !digits(part) || text == "." {
        return Err(refused());
    }
    let number = |text: &str| {
        if text.is_empty() {
            Ok(0)
        } else {
            text.parse::<i64>()
        }
    };
    let whole = number(whole).map_err(|_parse| refused())?;
    let part = number(&format!("{part:0<5}")).map_err(|_parse| refused())?;
    whole
        .checked_mul(100_000)
        .and_then(|quota| quota.checked_add(part))
        .filter(|quota| *quota > 0)
        .ok_or_else(refused)
}

/// As many ids as the 16 bits of old have, what /etc/subuid usually gives.
pub(super) const USERS: u32 = 65_536;

/// `host`, or `FIRST[:COUNT]`.
pub(super) fn users(text: &str) -> Result<Users, String> {
    if text == "host" {
        return Ok(Users::Host);
    }
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_parse| format!("{text:?} is no number; FIRST, FIRST:COUNT or host"))
    };
    let (first, count) = match text.split_once(':') {
        None => (number(text)?, USERS),
        Some((first, count)) => (number(first)?, number(count)?),
    };
    Ok(Users::From { first, count })
}

/// `UID[:GID]`, numbers.
pub(super) fn user(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_parse| format!("{text:?} is no number, and names are not looked up"))
    };
    match text.split_once(':') {
        None => Ok((number(text)?, 0)),
        Some((uid, gid)) => Ok((number(uid)?, number(gid)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let made = volume("/a:/b:ro").unwrap();
        assert_eq!(
            (made.host, made.container, made.readonly),
            ("/a".into(), "/b".into(), true)
        );
        assert!(!volume("/a:/b").unwrap().readonly);
        for text in ["/a", "a:/b", "/a:b", "/a:/b:z", ""] {
            assert!(volume(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports() {
        let made = port("127.0.0.1:8080:80/udp").unwrap();
        assert_eq!(made.address, Ipv4Addr::LOCALHOST);
        assert_eq!(
            (made.host, made.container, made.protocol),
            (8080, 80, Protocol::Udp)
        );
        assert_eq!(port("1:2/tcp").unwrap().protocol, Protocol::Tcp);
        for text in ["80", "x:80", "0:80", "1:70000", "1:2/sctp", "[::1]:1:2"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts() {
        for (text, bytes) in [
            ("5", Some(5)),
            ("2k", Some(2048)),
            ("1G", Some(1 << 30)),
            ("1t", None),
            ("0", None),
            ("m", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
        for (text, quota) in [
            ("2", Some(200_000)),
            ("0.5", Some(50_000)),
            (".25", Some(25_000)),
            ("0", None),
            ("-1", None),
            ("1.x", None),
            (".", None),
        ] {
            assert_eq!(cpus(text).ok(), quota, "{text}");
        }
        assert_eq!(user("7:8"), Ok((7, 8)));
        assert_eq!(user("7"), Ok((7, 0)));
        assert!(user("root").is_err());
    }
}
