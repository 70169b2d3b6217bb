//! What engines are answered: gvproxy's paths, JSON, status codes and words.
//!
//! Every process of the guest may ask. So connections are few, heads and bodies short, and a connection does not last;
//! one too many is closed at once, which its owner sees at once. What was published over a connection is taken back when
//! a later request of the same connection fails: Podman asks for a range port by port over one connection, and forgets
//! those it has got when one of them cannot be had.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use machine_protocol::publish::Port;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::request::Posted;
use super::{expose, unexpose};
use crate::linux::guest::Guest;
use crate::linux::log::{log, log_error};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Bytes of a head; hyper takes no less.
const HEAD: usize = 8192;
/// Bytes of a body.
const BODY: usize = 4096;
/// A head that is begun must be complete by then.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A body too.
const BODY_TIME: Duration = Duration::from_secs(5);
/// All of a connection: the longest range takes less.
const CONNECTION_TIME: Duration = Duration::from_mins(3);
/// A listener that could not accept: descriptors come free without an event.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

const PLAIN: &str = "text/plain; charset=utf-8";

type Answer = Response<Full<Bytes>>;
/// Status and words of an error.
type Error = (StatusCode, String);

/// Serves for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, guest: Rc<Guest>) {
    let open = Rc::new(Cell::new(0_usize));
    loop {
        match listener.accept().await {
            Ok((stream, _)) if open.get() < CONNECTIONS => {
                let place = Place::take(&open);
                let guest = Rc::clone(&guest);
                tokio::task::spawn_local(async move {
                    let _place = place;
                    if timeout(CONNECTION_TIME, connection(stream, guest))
                        .await
                        .is_err()
                    {
                        log("A client of the published ports was cut off: it took too long");
                    }
                });
            }
            Ok(_) => log("Too many clients of the published ports"),
            Err(error) => {
                log_error("A client of the published ports is not served", &error);
                let _ = timeout(ACCEPT_AGAIN, std::future::pending::<()>()).await;
            }
        }
    }
}

/// One of the connections; free again when it is dropped.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

async fn connection(stream: TcpStream, guest: Rc<Guest>) {
    // A failure costs speed and nothing else.
    let _ = stream.set_nodelay(true);
    let published = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (guest, published) = (&guest, &published);
        async move { Ok::<_, Infallible>(answer(request, guest, published).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        log(&format!(
            "A client of the published ports broke off: {error}"
        ));
    }
}

async fn answer<B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>>(
    request: Request<B>,
    guest: &Guest,
    published: &RefCell<Vec<Port>>,
) -> Answer {
    let done = match request.uri().path() {
        "/services/forwarder/all" => return all(guest).await,
        "/services/forwarder/expose" => posted_expose(request, guest, published).await,
        "/services/forwarder/unexpose" => posted_unexpose(request, guest).await,
        _ => Err((StatusCode::NOT_FOUND, "404 page not found".to_owned())),
    };
    match done {
        Ok(()) => Response::new(Full::default()),
        Err((status, words)) => failed(status, &words),
    }
}

async fn posted_expose<B>(
    request: Request<B>,
    guest: &Guest,
    published: &RefCell<Vec<Port>>,
) -> Result<(), Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let posted = posted(request).await?;
    let done = match posted.port() {
        Ok(port) => expose(guest, &posted.local, port).await.map(|()| port),
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(port) => {
            published.borrow_mut().push(port);
            Ok(())
        }
        Err(refusal) => {
            log(&format!("A port was not published: {refusal}"));
            for port in published.take().into_iter().rev() {
                // Its own refusals are told where they happen.
                let _ = unexpose(guest, port).await;
            }
            Err((StatusCode::INTERNAL_SERVER_ERROR, refusal))
        }
    }
}

async fn posted_unexpose<B>(request: Request<B>, guest: &Guest) -> Result<(), Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let internal = |words| (StatusCode::INTERNAL_SERVER_ERROR, words);
    let port = posted(request).await?.port().map_err(internal)?;
    unexpose(guest, port).await.map_err(internal)
}

async fn posted<B>(request: Request<B>) -> Result<Posted, Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if request.method() != Method::POST {
        return Err((StatusCode::BAD_REQUEST, "post only".to_owned()));
    }
    let body = Limited::new(request.into_body(), BODY).collect();
    let internal = |words: String| (StatusCode::INTERNAL_SERVER_ERROR, words);
    let body = match timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err(internal(error.to_string())),
        Err(_) => return Err(internal("the request did not come to its end".to_owned())),
    };
    serde_json::from_slice(&body).map_err(|error| internal(error.to_string()))
}

/// In the order of gvproxy: by local place, then by protocol.
async fn all(guest: &Guest) -> Answer {
    let state = guest.published.state.lock().await;
    let mut entries = state.table.entries().to_vec();
    drop(state);
    entries.sort_by(|one, other| {
        (&one.local, one.port.protocol.word()).cmp(&(&other.local, other.port.protocol.word()))
    });
    let list: Vec<_> = entries
        .iter()
        .map(|entry| {
            serde_json::json!({
                "local": entry.local,
                "remote": format!("127.0.0.1:{}", entry.port.guest_port),
                "protocol": entry.port.protocol,
            })
        })
        .collect();
    let mut text = serde_json::Value::from(list).to_string();
    text.push('\n');
    plain(Response::new(Full::from(text)))
}

fn failed(status: StatusCode, words: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{words}\n")));
    *answer.status_mut() = status;
    plain(answer)
}

fn plain(mut answer: Answer) -> Answer {
    let value = HeaderValue::from_static(PLAIN);
    answer.headers_mut().insert(CONTENT_TYPE, value);
    answer
}
