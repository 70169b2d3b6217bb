//! Talks to one registry by the OCI distribution specification 1.1: is it there, who may read, which bytes.
//!
//! The steps are podman's: `GET /v2/` over TLS, and without TLS only where an unverified connection is allowed; the
//! answer says how to log in; then every request carries the same `Authorization`.

use std::net::IpAddr;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::access::Access;
use super::artifact::{MANIFEST_LIMIT, accepted, shown};
use super::challenge::{Challenge, challenges};
use super::credentials::{Credentials, Found, basic, in_file};
use super::error::{Fetch, OciError};
use super::registries::Endpoint;
use super::tls::{Certificates, config};
use super::{helper, refusal, token};
use crate::checksum::Checksum;
use crate::http::{self, Authorization};
use crate::waits;

/// Docker Hub's registry has another name than its images.
const DOCKER: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// What is read of an error's explanation.
const EXPLANATION: usize = 64 << 10;

/// A registry that answered, ready for requests about one repository.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) authorization: Option<Authorization>,
    pub(super) fetch: Fetch,
    /// As the registry is named.
    pub(super) host: String,
    /// Certificates are verified, and nothing goes over plain HTTP.
    pub(super) verify: bool,
    /// `https://HOST/v2/`
    root: String,
    repository: String,
}

/// A document of a registry.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The header, or nothing.
    pub(super) content_type: String,
}

impl Session {
    /// Finds out how the registry is spoken to, and logs in where it wants that.
    pub(super) async fn open(
        endpoint: &Endpoint,
        access: &Access,
        version: &str,
    ) -> Result<Self, OciError> {
        let host = endpoint.host.as_str();
        let server = if host == DOCKER.0 { DOCKER.1 } else { host };
        let verify = access.tls_verify.unwrap_or(!endpoint.insecure);
        let mut session = Self {
            client: client(Certificates::read(&access.certs_d, host)?, verify, server)?,
            authorization: None,
            fetch: Fetch {
                version: version.to_owned(),
                name: format!("{host}/{}", endpoint.repository),
            },
            host: host.to_owned(),
            verify,
            root: format!("https://{server}/v2/"),
            repository: endpoint.repository.clone(),
        };
        let challenges = match session.ping().await {
            Ok(challenges) => challenges,
            Err(OciError::Unreachable { .. } | OciError::Refused { .. }) if !verify => {
                session.root = format!("http://{server}/v2/");
                session.ping().await?
            }
            Err(error) => return Err(error),
        };
        if !challenges.is_empty() {
            session.log_in(&challenges, access).await?;
        }
        Ok(session)
    }

    async fn ping(&self) -> Result<Vec<Challenge>, OciError> {
        let request = self.client.get(&self.root).timeout(waits::SMALL_ANSWER);
        let response = request.send().await.map_err(|source| {
            refusal::classify(source, self.fetch.clone(), &self.host, &self.root)
        })?;
        match response.status() {
            StatusCode::OK => Ok(Vec::new()),
            StatusCode::UNAUTHORIZED => Ok(asked_by(&response)),
            _ => Err(self.status(response).await),
        }
    }

    /// By the first challenge that can be met; nothing is sent where there is nothing to say.
    async fn log_in(&mut self, challenges: &[Challenge], access: &Access) -> Result<(), OciError> {
        let known = credentials(access, &self.host, &self.repository).await?;
        for challenge in challenges {
            match (challenge, &known) {
                (Challenge::Basic, Some(known)) if known.identity_token.is_none() => {
                    self.authorization = Authorization::new(&basic(known));
                    break;
                }
                (Challenge::Basic, _) => {}
                (Challenge::Bearer { realm, service }, known) => {
                    let scope = format!("repository:{}:pull", self.repository);
                    let service = service.as_deref();
                    let token = token::get(self, realm, service, &scope, known.as_ref()).await?;
                    self.authorization = Some(token);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The manifest of a tag or digest.
    pub(super) async fn manifest(
        &mut self,
        version: &str,
        access: &Access,
    ) -> Result<Answer, OciError> {
        let url = format!("{}{}/manifests/{version}", self.root, self.repository);
        let mut response = self.get(&url).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            // Some registries greet everybody and ask only here.
            let challenges = asked_by(&response);
            self.log_in(&challenges, access).await?;
            if self.authorization.is_some() {
                response = self.get(&url).await?;
            }
        }
        if response.status() != StatusCode::OK {
            return Err(self.status(response).await);
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let bytes = self.body(response, &url, MANIFEST_LIMIT).await?;
        Ok(Answer {
            bytes,
            content_type,
        })
    }

    async fn get(&self, url: &str) -> Result<Response, OciError> {
        let mut request = self.client.get(url).header(ACCEPT, accepted());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.value().clone());
        }
        self.send(request, url).await
    }

    /// Where the bytes with this digest are.
    pub(super) fn blob(&self, digest: Checksum) -> String {
        format!("{}{}/blobs/{digest}", self.root, self.repository)
    }

    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        url: &str,
    ) -> Result<Response, OciError> {
        let sent = request.timeout(waits::SMALL_ANSWER).send().await;
        sent.map_err(|source| self.broken(source, url))
    }

    fn broken(&self, source: reqwest::Error, url: &str) -> OciError {
        OciError::Request {
            fetch: self.fetch.clone(),
            url: url.to_owned(),
            source: source.without_url(),
        }
    }

    /// The body, if it is not longer than the limit.
    pub(super) async fn body(
        &self,
        mut response: Response,
        url: &str,
        limit: usize,
    ) -> Result<Vec<u8>, OciError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.broken(source, url))?
        {
            if bytes.len() + chunk.len() > limit {
                return Err(OciError::TooLarge {
                    what: format!("What `{url}` answers"),
                    limit,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The error that an answer is.
    pub(super) async fn status(&self, response: Response) -> OciError {
        let status = response.status();
        let mut url = response.url().clone();
        url.set_query(None);
        let detail = self.explanation(response).await;
        OciError::Status {
            fetch: self.fetch.clone(),
            host: self.host.clone(),
            url: url.to_string(),
            status,
            detail,
        }
    }

    /// What the server says about an error, after `: `; nothing where it does not say it as registries do.
    async fn explanation(&self, response: Response) -> String {
        let url = response.url().to_string();
        let body = self.body(response, &url, EXPLANATION).await;
        body.ok()
            .and_then(|bytes| explained(&bytes))
            .map(|text| format!(": {text}"))
            .unwrap_or_default()
    }
}

/// How the server wants to be told who asks.
fn asked_by(response: &Response) -> Vec<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    challenges(headers.iter().filter_map(|value| value.to_str().ok()))
}

/// The message of the first error in a body of the distribution specification.
fn explained(bytes: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let first = document.get("errors")?.get(0)?;
    let text = |name: &str| {
        let text = first.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    };
    text("message").or_else(|| text("code")).map(shown)
}

/// What the host knows about the user for this repository: the first file that says something decides.
async fn credentials(
    access: &Access,
    host: &str,
    repository: &str,
) -> Result<Option<Credentials>, OciError> {
    for path in &access.auth_files {
        match in_file(path, host, repository)? {
            Found::Nothing => {}
            Found::Credentials(credentials) => return Ok(Some(credentials)),
            Found::Helper { name, server } => {
                let program = helper::program(&name).ok_or_else(|| OciError::Settings {
                    path: path.clone(),
                    source: format!("`{}` is no name of a credential helper", shown(&name)).into(),
                })?;
                if let Some(credentials) = helper::ask(&program, &server).await? {
                    return Ok(Some(credentials));
                }
            }
        }
    }
    Ok(None)
}

/// A client for this registry and for where it redirects to.
fn client(certificates: Certificates, verify: bool, server: &str) -> Result<Client, OciError> {
    let mut builder =
        http::builder(!verify).tls_backend_preconfigured(config(certificates, verify)?);
    // No proxy is asked for this host itself, as Go's programs do.
    if is_loopback(server) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| OciError::Trust {
        source: error.into(),
    })
}

fn is_loopback(server: &str) -> bool {
    let url = Url::parse(&format!("https://{server}/")).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
