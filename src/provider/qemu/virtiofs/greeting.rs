//! The first question of the vhost-user protocol, whose answer says that a program serves.
//!
//! `VHOST_USER_GET_FEATURES` changes nothing and may be asked again, which QEMU does. A message is a header of three
//! numbers of 32 bits in the host's order (request, flags, length of the payload) and the payload (QEMU's
//! `docs/interop/vhost-user.rst`).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const GET_FEATURES: u32 = 1;
/// The protocol's version, in the lowest two bits.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
/// Of a set of features.
const LENGTH: u32 = 8;

/// Asks, and gives the stream back when it was answered.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<S> {
    stream
        .write_all(&message([GET_FEATURES, VERSION, 0]))
        .await?;
    let mut header = [0; 12];
    stream.read_exact(&mut header).await?;
    if header != message([GET_FEATURES, VERSION | REPLY, LENGTH]) {
        let text = "it does not speak the vhost-user protocol";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut features = [0; LENGTH as usize];
    stream.read_exact(&mut features).await?;
    Ok(stream)
}

fn message(words: [u32; 3]) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> io::Result<Vec<u8>> {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(answer).await.unwrap();
        let greeted = greet(ours).await.map(drop);
        let mut asked = vec![0; 12];
        theirs.read_exact(&mut asked).await?;
        greeted.map(|()| asked)
    }

    #[tokio::test]
    async fn only_an_answer_counts() {
        let good = [&message([1, 5, 8])[..], &[0; 8]].concat();
        assert_eq!(answered(&good).await.unwrap(), message([1, 1, 0]));
        for bad in [[1, 1, 8], [2, 5, 8], [1, 5, 4]] {
            let bad = [&message(bad)[..], &[0; 8]].concat();
            answered(&bad).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn an_end_is_no_answer() {
        let (ours, theirs) = tokio::io::duplex(64);
        drop(theirs);
        greet(ours).await.unwrap_err();
    }
}
