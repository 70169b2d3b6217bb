//! How this crate speaks HTTP: with the system's trust or a registry's own, with bounded waits, by redirects that do not
//! lead out of TLS, and with logins that nothing shows.

use std::fmt;

use reqwest::header::HeaderValue;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Url};

use crate::waits;

/// As many as coreos-installer and curl's users allow; a longer chain is a circle.
const REDIRECTS: usize = 10;

/// A redirect that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectRefusal {
    /// From https to http, which would take the server's identity away.
    #[error("it redirects to `{to}`, which is not encrypted")]
    Downgrade {
        /// Where it leads.
        to: String,
    },
    /// More than [`REDIRECTS`].
    #[error("it redirects more than {REDIRECTS} times")]
    Loop,
}

/// Makes ring the cryptography of this process's TLS. Who builds a client of reqwest calls it first; again is no error.
pub fn install_tls() {
    // An error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that trusts whom the system trusts, or without `verify` anyone. With `anywhere` a redirect may leave TLS.
pub(crate) fn client(verify: bool, anywhere: bool) -> reqwest::Result<Client> {
    builder(anywhere)
        .tls_danger_accept_invalid_certs(!verify)
        .build()
}

/// What all clients have in common.
pub(crate) fn builder(anywhere: bool) -> ClientBuilder {
    install_tls();
    Client::builder()
        .user_agent(concat!("machine/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .connect_timeout(waits::CONNECT)
        .read_timeout(waits::NEXT_BYTES)
        .redirect(Policy::custom(move |attempt| follow(attempt, anywhere)))
}

fn follow(attempt: Attempt<'_>, anywhere: bool) -> Action {
    match refuse(attempt.previous(), attempt.url(), anywhere) {
        None => attempt.follow(),
        Some(refusal) => attempt.error(refusal),
    }
}

/// Why the redirect `to` is not followed after those `before`, the first request among them.
fn refuse(before: &[Url], to: &Url, anywhere: bool) -> Option<RedirectRefusal> {
    let was_secure = before.last().is_some_and(|url| url.scheme() == "https");
    if was_secure && to.scheme() != "https" && !anywhere {
        return Some(RedirectRefusal::Downgrade { to: shown(to) });
    }
    (before.len() > REDIRECTS).then_some(RedirectRefusal::Loop)
}

/// The URL without a password, for people.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // An error says that this kind of URL has no place for a password: then it has none.
        let _ = url.set_password(Some("…"));
    }
    url.to_string()
}

/// The value of a request's `Authorization`, which is shown to nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(HeaderValue);

impl Authorization {
    /// Such as `Bearer …` or `Basic …`. `None` where the text cannot be a header.
    pub fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The header's value, marked so that HTTP libraries do not show it either.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_does_not_lead_out_of_tls_unless_that_is_harmless() {
        let secure = [url("https://a/")];
        let plain = url("http://me:secret@b/x");
        let refusal = refuse(&secure, &plain, false).unwrap();
        let text = refusal.to_string();
        assert!(matches!(refusal, RedirectRefusal::Downgrade { .. }));
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(refuse(&secure, &plain, true), None);
        assert_eq!(refuse(&secure, &url("https://b/"), false), None);
        assert_eq!(refuse(std::slice::from_ref(&plain), &plain, false), None);
        // Only the last step counts, whatever came before.
        let through = [url("http://a/"), url("https://a/")];
        assert!(refuse(&through, &plain, false).is_some());
    }

    #[test]
    fn ten_redirects_and_no_more() {
        let before = vec![url("https://a/"); REDIRECTS + 1];
        assert_eq!(refuse(&before[1..], &before[0], false), None);
        assert_eq!(
            refuse(&before, &before[0], true),
            Some(RedirectRefusal::Loop)
        );
    }

    #[test]
    fn a_login_is_not_shown() {
        let login = Authorization::new("Basic c2VjcmV0").unwrap();
        assert_eq!(format!("{login:?}"), "Authorization(…)");
        assert!(login.value().is_sensitive());
        assert_eq!(Authorization::new("a\nb"), None);
    }
}
