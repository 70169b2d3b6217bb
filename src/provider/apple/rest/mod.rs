//! The programs' REST service: questions, and what the answers mean. Pure but for [`client`].
//!
//! `GET /vm/state` and `POST /vm/state` are all that is used. Questions are of HTTP 1.0: the answer then ends with the
//! connection, and krunkit's ends in no other way. krunkit answers each question about the state with "running", and takes
//! each POST for a wish to end.

pub(super) mod client;

use serde::Deserialize;

/// What the REST service says a VM does: the framework's states, in Apple's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is on its way up.
    Starting,
    /// It runs.
    Running,
    /// It stands still, or is about to.
    Paused,
    /// It is on its way down.
    Stopping,
    /// It has ended.
    Stopped,
    /// It failed.
    Failed,
    /// Another word.
    Other(String),
}

impl State {
    fn of(word: &str) -> Self {
        match word.strip_prefix("VirtualMachineState").unwrap_or(word) {
            "Starting" | "Restoring" => Self::Starting,
            // Saving happens on the run, resuming is over in a moment.
            "Running" | "Resuming" | "Saving" => Self::Running,
            "Paused" | "Pausing" => Self::Paused,
            "Stopping" => Self::Stopping,
            "Stopped" => Self::Stopped,
            "Error" => Self::Failed,
            _ => Self::Other(word.to_owned()),
        }
    }
}

/// What a VM is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Press the power button.
    Stop,
    /// End without asking the guest.
    HardStop,
    /// Go on after a pause.
    Resume,
}

impl Wish {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stop => "Stop",
            Self::HardStop => "HardStop",
            Self::Resume => "Resume",
        }
    }
}

/// The question for the state.
pub(super) fn ask_state() -> Vec<u8> {
    b"GET /vm/state HTTP/1.0\r\nHost: vm\r\n\r\n".to_vec()
}

/// The question for a change.
pub(super) fn ask_for(wish: Wish) -> Vec<u8> {
    let body = format!("{{\"state\":\"{}\"}}", wish.word());
    let length = body.len();
    format!(
        "POST /vm/state HTTP/1.0\r\nHost: vm\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// It is no HTTP.
    #[error("The answer is no HTTP")]
    Garbled,
    /// The service says no.
    #[error("The answer has status {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It says no state.
    #[error("The answer tells no state")]
    NoState,
}

#[derive(Deserialize)]
struct Answer {
    state: String,
}

#[derive(Deserialize)]
struct Complaint {
    error: String,
}

/// The body of an answer of success.
pub(super) fn body(answer: &[u8]) -> Result<&[u8], Unusable> {
    let end = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .ok_or(Unusable::Garbled)?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let status = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.strip_prefix("HTTP/1."))
        .and_then(|head| head.split(' ').nth(1))
        .and_then(|status| status.split("\r\n").next()?.parse().ok())
        .ok_or(Unusable::Garbled)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let reason = match serde_json::from_slice::<Complaint>(body) {
        Ok(complaint) => complaint.error,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    Err(Unusable::Refused { status, reason })
}

/// The state in an answer.
pub(super) fn state(answer: &[u8]) -> Result<State, Unusable> {
    // krunkit sends the zero at the end of its text.
    let body = body(answer)?.trim_ascii();
    let body = body.strip_suffix(b"\0").unwrap_or(body);
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unusable::NoState)?;
    Ok(State::of(&answer.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn states_are_read_from_both_services() {
        // doc/usage.md of vfkit, "Get VM state".
        let said = answer(
            "200 OK",
            r#"{"canHardStop":true,"canPause":true,"canResume":false,"canStart":false,"canStop":true,"state":"VirtualMachineStateRunning"}"#,
        );
        assert_eq!(state(&said), Ok(State::Running));
        // docs/usage.md of krunkit, and its text's end.
        let said = b"HTTP/1.1 200 OK\r\nContent-type: application/json\r\n\r\n{\"state\": \"VirtualMachineStateRunning\"}\0";
        assert_eq!(state(said), Ok(State::Running));
        for (word, meaning) in [
            ("Starting", State::Starting),
            ("Pausing", State::Paused),
            ("Paused", State::Paused),
            ("Resuming", State::Running),
            ("Stopping", State::Stopping),
            ("Stopped", State::Stopped),
            ("Error", State::Failed),
            (
                "Dreaming",
                State::Other("VirtualMachineStateDreaming".to_owned()),
            ),
        ] {
            let body = format!(r#"{{"state":"VirtualMachineState{word}"}}"#);
            assert_eq!(state(&answer("200 OK", &body)), Ok(meaning), "{word}");
        }
    }

    #[test]
    fn bad_answers_are_told_apart() {
        for garbled in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
        ] {
            assert_eq!(
                state(garbled.as_bytes()),
                Err(Unusable::Garbled),
                "{garbled}"
            );
        }
        assert_eq!(state(&answer("200 OK", "{}")), Err(Unusable::NoState));
        assert_eq!(body(&answer("202 Accepted", "")), Ok(&b""[..]));
        let refused = body(&answer("500 Internal", r#"{"error":"not now"}"#)).unwrap_err();
        assert_eq!(refused.to_string(), "The answer has status 500: not now");
        let refused = body(&answer("404 Not Found", "404 page not found\n")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "The answer has status 404: 404 page not found"
        );
    }

    /// doc/usage.md of vfkit, "Change VM State".
    #[test]
    fn wishes_are_written_as_documented() {
        let question = String::from_utf8(ask_for(Wish::HardStop)).unwrap();
        let (head, body) = question.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /vm/state HTTP/1.0\r\n"), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert_eq!(body, r#"{"state":"HardStop"}"#);
    }
}
