//! The token of a registry: docker's token protocol, which all public registries speak.
//!
//! With a name and a password or with nothing it is a `GET` with Basic authorization, with an identity token an OAuth 2
//! `POST` of it. <https://distribution.github.io/distribution/spec/auth/token/>

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::artifact::shown;
use super::credentials::{Credentials, basic};
use super::error::OciError;
use super::registry::Session;
use crate::http::Authorization;

/// As in podman.
const LONGEST_ANSWER: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    token: String,
    access_token: String,
}

/// Asks the realm for a token with this scope.
pub(super) async fn get(
    session: &Session,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<Authorization, OciError> {
    let failed = |reason: &str| OciError::Token {
        fetch: session.fetch.clone(),
        host: session.host.clone(),
        realm: shown(realm),
        reason: reason.to_owned(),
    };
    let url = Url::parse(realm).map_err(|_| failed("it is no URL"))?;
    let is_good = match url.scheme() {
        "https" => true,
        "http" => !session.verify,
        _ => false,
    };
    if !is_good {
        return Err(failed("a password would be sent there without TLS"));
    }
    let token = credentials.and_then(|known| known.identity_token.as_deref());
    let request = if let Some(token) = token {
        let mut blank = url.clone();
        blank.set_query(None);
        let form = query(
            &blank,
            |pairs| {
                pairs.append("grant_type", "refresh_token");
                pairs.append("refresh_token", token);
                pairs.append("client_id", "machine");
            },
            service,
            scope,
        );
        let form = form.query().unwrap_or_default().to_owned();
        session
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
    } else {
        let known = credentials.filter(|known| !known.username.is_empty());
        let asked = query(
            &url,
            |pairs| {
                if let Some(known) = known {
                    pairs.append("account", &known.username);
                }
            },
            service,
            scope,
        );
        let mut request = session.client.get(asked);
        if let Some(known) = known {
            let authorization = Authorization::new(&basic(known))
                .ok_or_else(|| failed("the password cannot be sent"))?;
            request = request.header(AUTHORIZATION, authorization.value().clone());
        }
        request
    };
    let response = session
        .send(request.header(ACCEPT, "application/json"), realm)
        .await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if credentials.is_some() => {
            return Err(failed("it refuses the name and the password"));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(session.status(response).await);
        }
        status => return Err(failed(&format!("it answers {status}"))),
    }
    let bytes = session.body(response, realm, LONGEST_ANSWER).await?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| failed("it answers no JSON with a token"))?;
    let token = [answer.token, answer.access_token]
        .into_iter()
        .find(|token| !token.is_empty())
        .ok_or_else(|| failed("it answers no JSON with a token"))?;
    Authorization::new(&format!("Bearer {token}")).ok_or_else(|| failed("its token cannot be sent"))
}

/// Appends to the query of a URL.
struct Parameters<'a>(&'a mut Url);

impl Parameters<'_> {
    fn append(&mut self, name: &str, value: &str) {
        self.0.query_pairs_mut().append_pair(name, value);
    }
}

/// The URL with these parameters after its own.
fn query(
    url: &Url,
    own: impl FnOnce(&mut Parameters<'_>),
    service: Option<&str>,
    scope: &str,
) -> Url {
    let mut url = url.clone();
    let mut parameters = Parameters(&mut url);
    own(&mut parameters);
    if let Some(service) = service {
        parameters.append("service", service);
    }
    parameters.append("scope", scope);
    url
}
