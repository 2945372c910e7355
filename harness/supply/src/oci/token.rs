//! Logging in: from a challenge to the Authorization header that answers it.

use std::path::Path;

use serde::Deserialize;

use super::OciError;
use super::challenge::{Challenge, parse};
use super::credentials::{Credentials, Store};
use super::endpoints::{Endpoint, is_loopback_url};
use crate::http::{Asking, Http, HttpError, Want};

/// The most bytes an answer to a login may have.
const LARGEST: u64 = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// What is needed to log in.
pub(super) struct Login<'a> {
    pub(super) http: &'a dyn Fn(bool) -> &'a Http,
    pub(super) store: &'a Store,
    pub(super) endpoint: &'a Endpoint,
    pub(super) repository: &'a str,
    /// A folder for the answer.
    pub(super) staging: &'a Path,
}

impl Login<'_> {
    /// The header's value; none where the registry wants a name and none is known.
    pub(super) fn answer(&self, challenges: &[String]) -> Result<Option<String>, OciError> {
        let challenges: Vec<Challenge> = challenges.iter().map(|text| parse(text)).collect();
        let known = self.store.find(&self.endpoint.registry)?;
        let bearer = challenges
            .iter()
            .find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        if let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = bearer
        {
            let token = self.token(realm, service.as_deref(), scope.as_deref(), known.as_ref())?;
            return Ok(Some(format!("Bearer {token}")));
        }
        if challenges.contains(&Challenge::Basic) {
            let Some(header) = known.as_ref().and_then(Credentials::basic) else {
                return Ok(None);
            };
            self.guard(&self.endpoint.base)?;
            return Ok(Some(header));
        }
        let schemes: Vec<String> = challenges
            .into_iter()
            .filter_map(|challenge| match challenge {
                Challenge::Other(scheme) => Some(scheme),
                _ => None,
            })
            .collect();
        Err(OciError::Scheme {
            registry: self.endpoint.registry.clone(),
            scheme: if schemes.is_empty() {
                "no scheme at all".to_owned()
            } else {
                schemes.join(", ")
            },
        })
    }

    /// Neither a password nor a token goes over a network in the open.
    fn guard(&self, url: &str) -> Result<(), OciError> {
        if url.starts_with("https://") || is_loopback_url(url) || self.endpoint.insecure {
            return Ok(());
        }
        Err(OciError::OpenLogin {
            url: url.to_owned(),
        })
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        known: Option<&Credentials>,
    ) -> Result<String, OciError> {
        self.guard(realm)?;
        let usual = format!("repository:{}:pull", self.repository);
        let scope = scope.unwrap_or(&usual);
        let http = (self.http)(is_loopback_url(realm));
        let mut query = format!("scope={}", escape(scope));
        if let Some(service) = service {
            query.push_str(&format!("&service={}", escape(service)));
        }
        let body = if let Some(Credentials::Refresh(token)) = known {
            let form = format!(
                "{query}&grant_type=refresh_token&client_id=matrix&refresh_token={}",
                escape(token)
            );
            http.post_form(realm, form, LARGEST)?
        } else {
            let mark = if realm.contains('?') { '&' } else { '?' };
            let url = format!("{realm}{mark}{query}");
            let path = self.staging.join("token");
            let authorization = known.and_then(Credentials::basic);
            let want = Want {
                url: &url,
                what: &format!("a token of {}", self.endpoint.registry),
                size: None,
                limit: LARGEST,
                sha256: None,
                validators: None,
            };
            let asking = Asking {
                authorization: authorization.as_deref(),
                words: true,
                ..Asking::default()
            };
            let fetched = http.fetch_asking(&want, &asking, &path);
            let body = fetched.map_err(|error| match error {
                HttpError::Unauthorized { words, .. } if authorization.is_some() => {
                    OciError::Refused {
                        reference: self.endpoint.registry.clone(),
                        words,
                        hint: "the name and password known for it are not those it takes".into(),
                    }
                }
                error => error.into(),
            });
            let body = body.and_then(|_| Ok(fs_err::read(&path)?));
            // It holds a secret; the folder goes soon, but not at once.
            let _ = fs_err::remove_file(&path);
            body?
        };
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        answer
            .and_then(|answer| answer.token.or(answer.access_token))
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| OciError::Token {
                url: realm.to_owned(),
            })
    }
}

/// For a query: all but letters, digits and `-._~` as `%XX`.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escape("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
        assert_eq!(escape("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
