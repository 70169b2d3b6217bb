//! Asks a program that keeps passwords, by the protocol of docker's credential helpers: `docker-credential-NAME get`
//! reads the registry's name and writes `{"Username": …, "Secret": …}`.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::artifact::shown;
use super::credentials::Credentials;
use super::error::OciError;
use crate::waits;

/// A helper that writes more is broken.
const LONGEST_ANSWER: u64 = 1 << 20;
/// What all helpers say, and exit with 1, where they know nothing.
const UNKNOWN: &str = "credentials not found in native keychain";
/// In place of a user's name: the secret is a token.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// The program of a helper's name; `None` for a name that leads elsewhere.
pub(super) fn program(name: &str) -> Option<String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    (!name.is_empty() && name.chars().all(plain)).then(|| format!("docker-credential-{name}"))
}

/// What the program knows about a registry; `None` where it knows nothing.
pub(super) async fn ask(program: &str, registry: &str) -> Result<Option<Credentials>, OciError> {
    ask_within(
        Command::new(program),
        program,
        registry,
        waits::CREDENTIAL_HELPER,
    )
    .await
}

/// Runs the command with the argument of the protocol; the program's name is for errors.
async fn ask_within(
    mut command: Command,
    program: &str,
    registry: &str,
    patience: Duration,
) -> Result<Option<Credentials>, OciError> {
    let failed = |reason: String| OciError::Helper {
        program: program.to_owned(),
        registry: registry.to_owned(),
        reason,
    };
    let asked = async {
        let mut child = command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not read may still know.
            let _ = input.write_all(registry.as_bytes()).await;
        }
        let mut text = Vec::new();
        if let Some(output) = child.stdout.take() {
            output.take(LONGEST_ANSWER).read_to_end(&mut text).await?;
        }
        let status = child.wait().await?;
        std::io::Result::Ok((status, text))
    };
    let (status, text) = tokio::time::timeout(patience, asked)
        .await
        .map_err(|_| {
            failed(format!(
                "it does not answer within {} seconds",
                patience.as_secs()
            ))
        })?
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        // Errors come on the standard output.
        let said = String::from_utf8_lossy(&text);
        let said = said.trim();
        return if said == UNKNOWN {
            Ok(None)
        } else {
            Err(failed(format!("{status}, `{}`", shown(said))))
        };
    }
    let answer: Answer = serde_json::from_slice(&text)
        .map_err(|_| failed("what it writes is no JSON with a name and a secret".to_owned()))?;
    Ok(Some(if answer.username == TOKEN {
        Credentials {
            identity_token: Some(answer.secret),
            ..Credentials::default()
        }
    } else {
        Credentials {
            username: answer.username,
            password: answer.secret,
            identity_token: None,
        }
    }))
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
