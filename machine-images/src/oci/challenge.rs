//! How a registry wants to be told who asks: the header `WWW-Authenticate`.

use http_auth::parser::ChallengeParser;

/// A way to log in that this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password, with every request.
    Basic,
    /// A token that another server gives.
    Bearer {
        /// The URL of that server.
        realm: String,
        /// What it calls the registry.
        service: Option<String>,
    },
}

/// The known ways, in the server's order; what cannot be read is none.
pub(super) fn challenges<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut known = Vec::new();
    for header in headers {
        for challenge in ChallengeParser::new(header).map_while(Result::ok) {
            let parameter = |name: &str| {
                let mut all = challenge.params.iter();
                let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
                Some(found.1.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                known.push(Challenge::Basic);
            } else if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter("realm")
            {
                let service = parameter("service").filter(|service| !service.is_empty());
                known.push(Challenge::Bearer { realm, service });
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn the_known_ones_are_kept_in_order() {
        let quay = r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#;
        assert_eq!(
            challenges([quay]),
            [bearer("https://quay.io/v2/auth", Some("quay.io"))]
        );
        assert_eq!(
            challenges(["Negotiate, BASIC realm=\"x\", bearer Realm=\"https://t/a?b=\\\"c\\\"\""]),
            [Challenge::Basic, bearer("https://t/a?b=\"c\"", None)]
        );
        assert_eq!(challenges(["Basic realm=x", quay]).len(), 2);
        assert_eq!(
            challenges(["Bearer service=\"x\"", "", "Digest realm=\"a\""]),
            []
        );
    }

    proptest! {
        #[test]
        fn anything_is_read(text in any::<String>()) {
            let _ = challenges([text.as_str()]);
            let _ = challenges([format!("Bearer realm=\"{text}").as_str()]);
        }
    }
}
