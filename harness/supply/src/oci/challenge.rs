//! WWW-Authenticate: how a registry wants to be asked.

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token that `realm` gives.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    /// Another scheme.
    Other(String),
}

/// Reads one header: a scheme and its parameters. Of a header that holds several
/// challenges the first is read; registries send one each.
pub(super) fn parse(header: &str) -> Challenge {
    let header = header.trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Challenge::Other(scheme.to_owned());
    }
    let parameters = parameters(rest);
    let find = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    match find("realm") {
        Some(realm) => Challenge::Bearer {
            realm,
            service: find("service"),
            scope: find("scope"),
        },
        None => Challenge::Other("Bearer without a realm".to_owned()),
    }
}

/// `key=value` and `key="value"`, parted by commas; a backslash in quotes takes the
/// next letter as it is.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        let key: String = std::iter::from_fn(|| letters.next_if(|letter| *letter != '=')).collect();
        if letters.next().is_none() {
            return all;
        }
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            while let Some(letter) = letters.next() {
                match letter {
                    '"' => break,
                    '\\' => value.extend(letters.next()),
                    other => value.push(other),
                }
            }
        } else {
            value.extend(std::iter::from_fn(|| {
                letters.next_if(|letter| *letter != ',')
            }));
        }
        all.push((key.trim().to_owned(), value.trim().to_owned()));
        while letters
            .next_if(|letter| *letter == ',' || *letter == ' ')
            .is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_send_is_read() {
        assert_eq!(parse("Basic realm=\"x\""), Challenge::Basic);
        assert_eq!(
            parse(
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/alpine:pull,push\""
            ),
            Challenge::Bearer {
                realm: "https://auth.docker.io/token".into(),
                service: Some("registry.docker.io".into()),
                scope: Some("repository:library/alpine:pull,push".into()),
            }
        );
        assert_eq!(
            parse("bearer Realm=https://r.example/t, service=a\\b"),
            Challenge::Bearer {
                realm: "https://r.example/t".into(),
                service: Some("a\\b".into()),
                scope: None,
            }
        );
        assert_eq!(parse("Negotiate"), Challenge::Other("Negotiate".into()));
        assert_eq!(parse(""), Challenge::Other(String::new()));
        assert!(matches!(parse("Bearer x=\"unclosed"), Challenge::Other(_)));
    }
}
