//! Answers Ignition where a hypervisor only passes its question on: by HTTP, at the unix socket that a vsock port of the
//! guest leads to. Every path gives the configuration.
//!
//! Every process of the guest can ask there, and the configuration holds the guest's SSH host key: so this ends as soon as
//! the agent is there, which is after Ignition. Who asks is a stranger: askers are few, have little time and say little.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::local_socket::{self, Listener, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{JoinHandle, JoinSet};

use crate::machine::deadlines;

/// How many may ask at a time; a further one is hung up on at once, and asks again.
const ASKERS: usize = 4;
/// No question is longer. Ignition's has some 300 bytes.
const LONGEST_QUESTION: usize = 8 * 1024;
/// The media type of the configuration.
const MEDIA_TYPE: &str = "application/vnd.coreos.ignition+json";

/// Answers for as long as this value lives.
#[derive(Debug)]
pub(super) struct FirstBootServer {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl FirstBootServer {
    /// Answers at `socket` with what is in the file `configuration` now.
    pub(super) fn begin(configuration: &Path, socket: &Path) -> io::Result<Self> {
        let document: Arc<[u8]> = fs_err::read(configuration)?.into();
        let listener = local_socket::bind(socket)?;
        Ok(Self {
            socket: socket.to_owned(),
            task: tokio::spawn(serve(listener, document)),
        })
    }
}

impl Drop for FirstBootServer {
    fn drop(&mut self) {
        self.task.abort();
        // Whoever ends this machine removes what is left of its sockets.
        let _ = fs_err::remove_file(&self.socket);
    }
}

async fn serve(mut listener: Listener, document: Arc<[u8]>) {
    let mut askers = JoinSet::new();
    loop {
        tokio::select! {
            asker = listener.accept() => match asker {
                Ok(stream) if askers.len() < ASKERS => {
                    askers.spawn(answer_in_time(stream, Arc::clone(&document)));
                }
                Ok(_) => tracing::warn!("Too many processes of the guest ask for its first-boot configuration"),
                Err(error) => {
                    tracing::warn!(%error, "A question for the first-boot configuration could not be accepted");
                    rest().await;
                }
            },
            Some(_) = askers.join_next() => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the system tells nobody when a process may open files again"
)]
async fn rest() {
    tokio::time::sleep(deadlines::ACCEPT.limit).await;
}

async fn answer_in_time(stream: Stream, document: Arc<[u8]>) {
    let answered = answer(stream, &document);
    match tokio::time::timeout(deadlines::FIRST_BOOT_REQUEST.limit, answered).await {
        Ok(Ok(())) => tracing::info!("The guest was given its first-boot configuration"),
        Ok(Err(error)) => {
            tracing::info!(%error, "A question for the first-boot configuration failed");
        }
        Err(_) => tracing::info!("A process of the guest connected and asked for nothing"),
    }
}

async fn answer(mut stream: Stream, document: &[u8]) -> io::Result<()> {
    let question = read_head(&mut stream).await?;
    if question.starts_with(b"GET ") {
        let head = head("200 OK", MEDIA_TYPE, document.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(document).await?;
    } else {
        let head = head("405 Method Not Allowed", "text/plain", 0);
        stream.write_all(head.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn head(status: &str, kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// Reads up to the empty line that ends a question without a body.
async fn read_head(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= LONGEST_QUESTION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the question has no end",
            ));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        directory: tempfile::TempDir,
        server: FirstBootServer,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let configuration = directory.path().join("ignition.json");
            fs_err::write(&configuration, r#"{"ignition":{"version":"3.2.0"}}"#).unwrap();
            let server =
                FirstBootServer::begin(&configuration, &directory.path().join("a.sock")).unwrap();
            Self { directory, server }
        }

        async fn ask(&self, question: &str) -> io::Result<String> {
            let mut stream = local_socket::connect(&self.server.socket).await?;
            // An answer may come before all of the question was sent.
            let _ = stream.write_all(question.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            Ok(String::from_utf8(answer).unwrap())
        }
    }

    #[tokio::test]
    async fn every_path_gives_the_configuration_until_the_end() {
        let home = Home::new();
        for path in ["/", "/config.ign?a=b"] {
            let answer = home
                .ask(&format!("GET {path} HTTP/1.1\r\nHost: d\r\n\r\n"))
                .await
                .unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, r#"{"ignition":{"version":"3.2.0"}}"#);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("\r\nContent-Length: 32\r\n"), "{head}");
        }
        let socket = home.server.socket.clone();
        drop(home.server);
        assert!(!socket.exists());
        assert!(local_socket::connect(&socket).await.is_err());
        drop(home.directory);
    }

    #[tokio::test]
    async fn what_is_no_question_gives_nothing_away() {
        let home = Home::new();
        let posted = home.ask("POST / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
        let endless = "GET /".to_owned() + &"a".repeat(2 * LONGEST_QUESTION);
        assert_eq!(home.ask(&endless).await.unwrap(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_say_nothing_are_hung_up_on_and_others_are_served() {
        let home = Home::new();
        let mut silent = Vec::new();
        for _ in 0..ASKERS {
            silent.push(local_socket::connect(&home.server.socket).await.unwrap());
        }
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }
        let answer = home.ask("GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(answer.contains("3.2.0"), "{answer}");
    }
}
