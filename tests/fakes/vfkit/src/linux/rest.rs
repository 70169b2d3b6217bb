//! The REST services: vfkit's, which knows the machine, and krunkit's, which says one thing to every question.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::mischief::Mischief;
use super::power::{State, Switch};
use super::{FakeError, Flavour, failed};

/// No question is longer.
const LONGEST: usize = 64 * 1024;

/// Listens. vfkit does not where a file is in the way; krunkit removes it.
pub(super) fn listen(flavour: Flavour, path: &Path) -> Result<UnixListener, FakeError> {
    if flavour == Flavour::Krunkit {
        // What is not there needs no removing.
        let _ = fs_err::remove_file(path);
    }
    UnixListener::bind(path).map_err(failed(format!("listen unix {}", path.display())))
}

/// Answers for as long as the machine runs.
pub(super) async fn serve(
    flavour: Flavour,
    listener: UnixListener,
    switch: Switch,
    mischief: &Mischief,
) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        if mischief.silent_rest {
            held.push(stream);
            continue;
        }
        let switch = switch.clone();
        match flavour {
            Flavour::Vfkit => {
                tokio::spawn(vfkit(stream, switch));
            }
            // One after the other.
            Flavour::Krunkit => krunkit(stream, switch).await,
        }
    }
}

async fn vfkit(stream: UnixStream, switch: Switch) {
    let service = service_fn(move |request| {
        let switch = switch.clone();
        async move { Ok::<_, Infallible>(answer(request, &switch).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Clients hang up, which is no news.
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>, switch: &Switch) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let (status, body) = match (request.method().clone(), &*path) {
        (Method::GET, "/vm/state") => (StatusCode::OK, state(switch.state())),
        (Method::GET, "/vm/inspect") => (
            StatusCode::OK,
            json!({"cpus": 1, "memory": 2048, "devices": []}),
        ),
        (Method::POST, "/vm/state") => {
            let body = Limited::new(request.into_body(), LONGEST).collect().await;
            let body = body
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            change(&body, switch)
        }
        _ => (StatusCode::NOT_FOUND, json!("404 page not found")),
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn state(state: State) -> Value {
    json!({
        "state": state.word(),
        "canStart": false,
        "canPause": state == State::Running,
        "canResume": state == State::Paused,
        "canStop": state == State::Running,
        "canHardStop": matches!(state, State::Running | State::Paused),
    })
}

fn change(body: &[u8], switch: &Switch) -> (StatusCode, Value) {
    let refused = |status, text: &str| (status, json!({"error": text}));
    let wanted: Option<Value> = serde_json::from_slice(body).ok();
    let Some(wanted) = wanted.as_ref().and_then(|value| value["state"].as_str()) else {
        return refused(StatusCode::BAD_REQUEST, "the state is missing");
    };
    let state = switch.state();
    let cannot = || {
        refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "invalid state transition",
        )
    };
    match wanted {
        "Pause" if state == State::Running => switch.set(State::Paused),
        "Resume" if state == State::Paused => switch.set(State::Running),
        "Stop" if state == State::Running => switch.press(),
        "HardStop" if matches!(state, State::Running | State::Paused) => {
            switch.set(State::Stopped);
        }
        "Pause" | "Resume" | "Stop" | "HardStop" => return cannot(),
        other => {
            let text = format!("invalid new VMState: {other}");
            return refused(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
    }
    (StatusCode::ACCEPTED, Value::Null)
}

/// Reads once, answers without a length and with a NUL at the end, and hangs up. Whatever is posted is a wish to end.
async fn krunkit(mut stream: UnixStream, switch: Switch) {
    let mut question = vec![0; 4096];
    let length = stream.read(&mut question).await.unwrap_or(0);
    let posted = question[..length].windows(4).any(|word| word == b"POST");
    let word = if posted {
        State::Stopping
    } else {
        State::Running
    }
    .word();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-type: application/json\r\n\r\n{{\"state\": \"{word}\"}}\0"
    );
    // The client may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    if posted {
        switch.press();
    }
}
