//! Requests to registries: where to ask, and with which login.

use std::collections::HashMap;
use std::path::Path;
use std::sync::PoisonError;

use plan::OciSource;

use super::OciError;
use super::endpoints::{Endpoint, authority, is_loopback};
use super::registry::Registries;
use super::token::Login;
use crate::http::{Answer, Asking, Fetched, Http, HttpError, Want};

impl Registries {
    /// The registry's mirrors one after the other, then the registry itself.
    pub(super) fn ask(
        &self,
        source: &OciSource,
        get: &dyn Fn(&Endpoint) -> Result<Fetched, OciError>,
    ) -> Result<Fetched, OciError> {
        if self.offline {
            return Err(OciError::Offline {
                reference: source.reference.to_string(),
            });
        }
        for mirror in self.mirrors.of(&source.reference.registry) {
            match get(&mirror) {
                Ok(fetched) => return Ok(fetched),
                Err(
                    error @ (OciError::Http(_)
                    | OciError::NoImage { .. }
                    | OciError::Refused { .. }),
                ) => {
                    let base = &mirror.base;
                    self.progress
                        .note(&format!("{error}; asking past the mirror {base}"));
                }
                Err(error) => return Err(error),
            }
        }
        get(&self.endpoint(source)?)
    }

    /// Where the registry itself answers: over TLS; on loopback, or where the source
    /// says `insecure`, over plain http if it does not speak TLS.
    fn endpoint(&self, source: &OciSource) -> Result<Endpoint, OciError> {
        let reference = &source.reference;
        let authority = authority(reference);
        let loopback = is_loopback(reference.host());
        let secure = Endpoint {
            base: format!("https://{authority}"),
            registry: reference.registry.clone(),
            loopback,
            insecure: source.insecure,
        };
        if !loopback && !source.insecure {
            return Ok(secure);
        }
        let known = |found: &HashMap<String, Endpoint>| found.get(&reference.registry).cloned();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known(&found) {
            return Ok(Endpoint {
                insecure: source.insecure,
                ..endpoint
            });
        }
        let plain = Endpoint {
            base: format!("http://{authority}"),
            ..secure.clone()
        };
        let http = self.client(loopback);
        let endpoint = match http.answers(&format!("{}/v2/", secure.base)) {
            Ok(()) => secure,
            // It does speak TLS, and is not who it should be: asked without, it would
            // only say that it wants TLS.
            Err(refused @ HttpError::Certificate { .. }) if !source.insecure => {
                return Err(refused.into());
            }
            Err(over_tls) => match http.answers(&format!("{}/v2/", plain.base)) {
                Ok(()) => plain,
                Err(without) => {
                    return Err(OciError::Neither {
                        secure: Box::new(over_tls.into()),
                        plain: Box::new(without.into()),
                    });
                }
            },
        };
        found.insert(reference.registry.clone(), endpoint.clone());
        Ok(endpoint)
    }

    fn client(&self, loopback: bool) -> &Http {
        if loopback { &self.local } else { &self.http }
    }

    /// One request, with a login where the registry wants one.
    pub(super) fn get(
        &self,
        source: &OciSource,
        endpoint: &Endpoint,
        want: &Want<'_>,
        accept: Option<&str>,
        landed: Option<&(dyn Fn(u64) + Sync)>,
        path: &Path,
    ) -> Result<Fetched, OciError> {
        let reference = source.reference.to_string();
        let repository = &source.reference.repository;
        let key = (endpoint.base.clone(), repository.clone());
        let token = |key: &(String, String)| {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.get(key).cloned()
        };
        let mut authorization = token(&key);
        let mut logged_in = false;
        loop {
            let asking = Asking {
                authorization: authorization.as_deref(),
                accept,
                landed,
                words: true,
            };
            let client = self.client(endpoint.loopback);
            match client.fetch_asking(want, &asking, path) {
                Ok(Answer::Fetched(fetched)) => return Ok(fetched),
                // Nothing was said that it could have answered so.
                Ok(Answer::NotModified) => {
                    return Err(HttpError::Status {
                        url: want.url.to_owned(),
                        status: 304,
                    }
                    .into());
                }
                Err(HttpError::Unauthorized {
                    challenges, words, ..
                }) => {
                    let refused = |hint: String| OciError::Refused {
                        reference: reference.clone(),
                        words: words.clone(),
                        hint,
                    };
                    let registry = &endpoint.registry;
                    if logged_in {
                        return Err(refused(format!(
                            "no such image, or not for this user: `docker login {registry}` leaves a name where it is looked for"
                        )));
                    }
                    // Its own layers of the same image may have logged in meanwhile.
                    let fresh = token(&key);
                    if fresh.is_some() && fresh != authorization {
                        authorization = fresh;
                        continue;
                    }
                    let staging = self.cache.staging()?;
                    let login = Login {
                        http: &|loopback| self.client(loopback),
                        store: &self.store,
                        endpoint,
                        repository,
                        staging: staging.path(),
                    };
                    let Some(answer) = login.answer(&challenges)? else {
                        return Err(refused(format!(
                            "`docker login {registry}` leaves a name and password where they are looked for"
                        )));
                    };
                    let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                    tokens.insert(key.clone(), answer.clone());
                    authorization = Some(answer);
                    logged_in = true;
                }
                Err(HttpError::Denied {
                    status: 404, words, ..
                }) if accept.is_some() => return Err(OciError::NoImage { reference, words }),
                Err(HttpError::Denied {
                    status: 403, words, ..
                }) => {
                    return Err(OciError::Refused {
                        reference,
                        words,
                        hint: "it is not for this user".to_owned(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
