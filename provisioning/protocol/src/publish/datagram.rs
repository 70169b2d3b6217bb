//! Datagrams on a stream: the length (u16, little-endian), then that many bytes. The datagrams of one client travel on one
//! stream in each direction, so that a reply finds its client.

use bytes::{Buf, Bytes, BytesMut};

/// The longest datagram that UDP over IPv4 carries.
pub const MAX_DATAGRAM: usize = 65_507;

/// A datagram as it travels; `None` when it is longer than [`MAX_DATAGRAM`].
pub fn framed(datagram: &[u8]) -> Option<Bytes> {
    if datagram.len() > MAX_DATAGRAM {
        return None;
    }
    let length = u16::try_from(datagram.len()).ok()?;
    let mut frame = BytesMut::with_capacity(2 + datagram.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(datagram);
    Some(frame.freeze())
}

/// Cuts what arrives into datagrams; holds at most one incomplete one.
#[derive(Debug, Default)]
pub struct Datagrams {
    bytes: BytesMut,
}

impl Datagrams {
    /// Adds what arrived. Take all datagrams out before adding more, or the buffer grows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete datagram; `None` when more bytes are needed. One that is longer than UDP carries comes out all
    /// the same: sending it fails, which is a datagram lost.
    pub fn next_datagram(&mut self) -> Option<Bytes> {
        let header: [u8; 2] = self.bytes.get(..2)?.try_into().ok()?;
        let length = usize::from(u16::from_le_bytes(header));
        if self.bytes.len() < 2 + length {
            return None;
        }
        self.bytes.advance(2);
        Some(self.bytes.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form() {
        assert_eq!(framed(b"hi").unwrap(), &b"\x02\x00hi"[..]);
        assert_eq!(framed(b"").unwrap(), &b"\x00\x00"[..]);
        assert!(framed(&vec![0; MAX_DATAGRAM]).is_some());
        assert!(framed(&vec![0; MAX_DATAGRAM + 1]).is_none());
    }

    proptest! {
        #[test]
        fn laws_datagrams_come_out_as_they_went_in(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            piece in 1_usize..200,
        ) {
            let wire: Vec<u8> = datagrams.iter().flat_map(|bytes| framed(bytes).unwrap()).collect();
            let mut cut = Datagrams::default();
            let mut seen = Vec::new();
            for part in wire.chunks(piece) {
                cut.push(part);
                while let Some(datagram) = cut.next_datagram() {
                    seen.push(datagram.to_vec());
                }
            }
            prop_assert_eq!(seen, datagrams);
        }
    }
}
