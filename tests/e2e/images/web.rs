//! A web server on loopback for files: with or without TLS, with ranges and tags, and with a first answer that stops.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The files by their paths.
pub(crate) type Files = HashMap<String, Arc<Vec<u8>>>;

pub(crate) struct Web {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    files: Files,
    tls: Option<Arc<ServerConfig>>,
    /// The first answer stops after so many bytes of its body, and the connection stays.
    stops_after: Option<usize>,
    answers: AtomicUsize,
    ranges: Mutex<Vec<Option<usize>>>,
    ended: AtomicBool,
}

/// An authority of the test's own, in PEM, and what a server needs that it vouches for.
pub(crate) fn authority() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate can be made");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("key and certificate belong together");
    (made.cert.pem(), Arc::new(config))
}

impl Web {
    pub(crate) fn start(
        files: Files,
        tls: Option<Arc<ServerConfig>>,
        stops_after: Option<usize>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().expect("it listens");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            files,
            tls,
            stops_after,
            answers: AtomicUsize::new(0),
            ranges: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.ended.load(Ordering::Relaxed) {
                    return;
                }
                let served = Arc::clone(&served);
                // A client that goes away is what some tests want.
                std::thread::spawn(move || drop(served.connection(stream)));
            }
        });
        Self {
            address,
            scheme,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// From which byte each answer began; `None` is the whole file.
    pub(crate) fn ranges(&self) -> Vec<Option<usize>> {
        self.shared.ranges.lock().expect("no panic").clone()
    }

    /// From now on nobody listens.
    pub(crate) fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // The acceptor waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the acceptor does not panic");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn connection(&self, stream: TcpStream) -> std::io::Result<()> {
        match &self.tls {
            None => self.answer(stream),
            Some(config) => {
                let session =
                    ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
                self.answer(StreamOwned::new(session, stream))
            }
        }
    }

    /// One request of a connection.
    fn answer(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let path = lines.first().and_then(|line| line.split(' ').nth(1));
        let header = |name: &str| {
            let named = |line: &String| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            };
            lines.iter().find_map(named)
        };
        let Some(file) = path.and_then(|path| self.files.get(path)) else {
            let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.get_mut().write_all(head.as_bytes());
        };
        let tag = "\"tag\"";
        if header("if-none-match").as_deref() == Some(tag) {
            let head = "HTTP/1.1 304 Not Modified\r\nETag: \"tag\"\r\nConnection: close\r\n\r\n";
            return stream.get_mut().write_all(head.as_bytes());
        }
        let range = header("range").and_then(|range| {
            let from = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            from.parse::<usize>().ok()
        });
        self.ranges.lock().expect("no panic").push(range);
        let (from, length) = (range.unwrap_or(0), file.len());
        let status = match range {
            None => "200 OK".to_owned(),
            Some(from) => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{length}",
                length - 1
            ),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: {tag}\r\nConnection: close\r\n\r\n",
            length - from
        );
        let mut body = &file[from..];
        let stops = self
            .stops_after
            .filter(|_| self.answers.fetch_add(1, Ordering::Relaxed) == 0);
        if let Some(bytes) = stops {
            body = &body[..bytes];
        }
        let out = stream.get_mut();
        out.write_all(head.as_bytes())?;
        out.write_all(body)?;
        out.flush()?;
        if stops.is_some() {
            // Until the client is gone.
            let _ = stream.read(&mut [0; 1]);
        }
        Ok(())
    }
}
