//! A file as a good server has it, and as one has it whose connections break.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::test_server::{Asked, Reply, Server};

/// Answers each request by `answer`, which is told how many came before.
pub(super) async fn serve(
    answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
) -> Server {
    let before = AtomicUsize::new(0);
    let count = move || before.fetch_add(1, Ordering::Relaxed);
    Server::start(None, move |_, asked| answer(asked, count())).await
}

/// A file as a good server has it.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) content: Arc<Vec<u8>>,
    pub(super) etag: &'static str,
}

impl Served {
    pub(super) fn new(content: Vec<u8>) -> Self {
        Self {
            content: Arc::new(content),
            etag: "\"one\"",
        }
    }

    /// The answer of RFC 9110 to a request with or without a range.
    pub(super) fn reply(&self, request: &Asked) -> Reply {
        let length = self.content.len();
        if request.header("if-none-match") == Some(self.etag) {
            return Reply::new(304, "").with("ETag", self.etag);
        }
        let same = request
            .header("if-range")
            .is_none_or(|tag| tag == self.etag);
        match request.first_byte().filter(|_| same) {
            Some(from) if from >= length => {
                Reply::new(416, "").with("Content-Range", format!("bytes */{length}"))
            }
            Some(from) => Reply {
                body: self.content[from..].to_vec(),
                ..Reply::new(206, "")
            }
            .with("Content-Length", (length - from).to_string())
            .with(
                "Content-Range",
                format!("bytes {from}-{}/{length}", length - 1),
            )
            .with("ETag", self.etag),
            None => Reply {
                body: self.content.to_vec(),
                ..Reply::new(200, "")
            }
            .with("Content-Length", length.to_string())
            .with("ETag", self.etag),
        }
    }

    /// As [`Served::reply`], but the connection breaks after so many bytes of the body.
    pub(super) fn cut(&self, request: &Asked, after: usize) -> Reply {
        let mut reply = self.reply(request);
        reply.body.truncate(after);
        reply
    }
}
