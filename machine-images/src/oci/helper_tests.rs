//! Programs that keep passwords: their names, their answers, and how they fail.

use super::*;

#[test]
fn a_helper_is_a_plain_name() {
    assert_eq!(
        program("secretservice").unwrap(),
        "docker-credential-secretservice"
    );
    assert_eq!(program("ecr-login").unwrap(), "docker-credential-ecr-login");
    for name in ["", "../sh", "a/b", "a\\b", "a b", "C:a", "a\0"] {
        assert_eq!(program(name), None, "{name:?}");
    }
}

#[tokio::test]
async fn a_helper_that_is_not_there_is_named() {
    let error = ask("docker-credential-of-nobody", "quay.io")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`docker-credential-of-nobody` gives no password for quay.io: "),
        "{error}"
    );
    assert!(!error.hints().is_empty());
}

#[cfg(unix)]
mod with_a_program {
    use super::*;

    /// A helper that is this script.
    async fn answer_within(
        script: &str,
        patience: Duration,
    ) -> Result<Option<Credentials>, OciError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "helper"]);
        ask_within(command, "helper", "quay.io", patience).await
    }

    async fn answer(script: &str) -> Result<Option<Credentials>, OciError> {
        answer_within(script, waits::CREDENTIAL_HELPER).await
    }

    #[tokio::test]
    async fn it_is_asked_for_the_registry() {
        let script = r#"[ "$1" = get ] || exit 9
            printf '{"ServerURL":"x","Username":"u","Secret":"%s"}' "$(cat)""#;
        let known = answer(script).await.unwrap().unwrap();
        assert_eq!(
            (known.username.as_str(), known.password.as_str()),
            ("u", "quay.io")
        );
        let token = answer(r#"echo '{"Username":"<token>","Secret":"t"}'"#).await;
        assert_eq!(token.unwrap().unwrap().identity_token.as_deref(), Some("t"));
    }

    #[tokio::test]
    async fn it_may_know_nothing_or_fail() {
        let unknown = "echo credentials not found in native keychain; exit 1";
        assert_eq!(answer(unknown).await.unwrap(), None);
        let error = answer("echo The key ring is locked; exit 1")
            .await
            .unwrap_err();
        assert!(
            error.to_string().ends_with("`The key ring is locked`"),
            "{error}"
        );
        let error = answer("echo sesame").await.unwrap_err();
        assert!(!error.to_string().contains("sesame"), "{error}");
    }

    #[tokio::test]
    async fn it_is_not_waited_for_for_ever() {
        let patience = Duration::from_millis(200);
        let slow = answer_within("exec tail -f /dev/null", patience).await;
        let error = slow.unwrap_err();
        assert!(
            error.to_string().contains("does not answer within"),
            "{error}"
        );
        let endless = answer_within("yes", patience).await;
        let error = endless.unwrap_err();
        assert!(matches!(error, OciError::Helper { .. }), "{error}");
    }
}
