//! The engines of the guest, as far as a client sees that one is there.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixListener;

use super::{FakeError, failed};

/// Serves the API at a unix socket.
pub(super) fn serve(socket: &Path) -> Result<(), FakeError> {
    let what = || format!("engine at {}", socket.display());
    let directory = socket.parent().unwrap_or(socket);
    fs_err::create_dir_all(directory).map_err(failed(what()))?;
    let listener = UnixListener::bind(socket).map_err(failed(what()))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(())
}

/// `/echo` gives back what it gets, so that a test can send bytes through everything.
async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let found = match (request.method(), &*path) {
        (&Method::GET | &Method::HEAD, "/_ping") => Some(Bytes::from_static(b"OK")),
        (&Method::GET, path) if path.ends_with("/libpod/version") => {
            let version = json!({"Version": "5.0.0-fake"});
            Some(Bytes::from(version.to_string()))
        }
        (&Method::GET, path) if path.ends_with("/containers/json") => {
            Some(Bytes::from_static(b"[]"))
        }
        (&Method::POST, "/echo") => {
            let body = request.into_body().collect().await;
            Some(
                body.map(http_body_util::Collected::to_bytes)
                    .unwrap_or_default(),
            )
        }
        _ => None,
    };
    let status = if found.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let mut response = Response::new(Full::new(found.unwrap_or_default()));
    *response.status_mut() = status;
    response
}
