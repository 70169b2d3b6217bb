//! A Unix socket stands in for the port: it blocks and hangs up in the same words.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const NOT_NOW: Duration = Duration::from_millis(50);

fn pair() -> (PortStream, UnixStream) {
    let (port, host) = UnixStream::pair().unwrap();
    port.set_nonblocking(true).unwrap();
    (PortStream::new(port.into()).unwrap(), host)
}

#[test]
fn ports_are_found_by_name() {
    let class = tempfile::tempdir().unwrap();
    assert_eq!(look_up(class.path(), "machine.link.0"), None);
    for (device, name) in [
        ("vport1p1", "com.coreos.ignition.journal\n"),
        ("vport2p1", "machine.link.0\n"),
        ("vport2p2", "machine.link.00\n"),
    ] {
        fs_err::create_dir(class.path().join(device)).unwrap();
        fs_err::write(class.path().join(device).join("name"), name).unwrap();
    }
    fs_err::create_dir(class.path().join("vport3p1")).unwrap();
    assert_eq!(
        look_up(class.path(), "machine.link.0").as_deref(),
        Some("vport2p1")
    );
    assert_eq!(look_up(class.path(), "machine.link.1"), None);
    assert_eq!(
        look_up(&class.path().join("absent"), "machine.link.0"),
        None
    );
}

#[test]
fn state_of_a_port() {
    let cases = [
        // No program of the host is there; then one comes, sends, and leaves.
        (EventFlags::IN | EventFlags::HUP, (true, false, true)),
        (EventFlags::OUT, (false, true, false)),
        (EventFlags::IN | EventFlags::OUT, (true, true, false)),
        (
            EventFlags::IN | EventFlags::OUT | EventFlags::HUP,
            (true, true, true),
        ),
    ];
    for (flags, (readable, writable, hung_up)) in cases {
        let expected = State {
            readable,
            writable,
            hung_up,
        };
        assert_eq!(State::of(flags), expected, "{flags:?}");
    }
}

#[tokio::test]
async fn bytes_both_ways_and_every_wait_ends() {
    let (mut port, mut host) = pair();
    timeout(SOON, port.connected()).await.unwrap().unwrap();
    let mut byte = [0];
    timeout(NOT_NOW, port.read_exact(&mut byte))
        .await
        .unwrap_err();
    host.write_all(b"a").unwrap();
    timeout(SOON, port.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&byte, b"a");
    host.write_all(b"b").unwrap();
    timeout(SOON, port.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&byte, b"b");
    port.write_all(b"c").await.unwrap();
    host.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"c");
}

#[tokio::test]
async fn a_full_port_is_waited_for() {
    let (mut port, mut host) = pair();
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let expected = bytes.clone();
    let reader = std::thread::spawn(move || {
        let mut read = vec![0; expected.len()];
        host.read_exact(&mut read).unwrap();
        assert!(read == expected);
        host
    });
    timeout(SOON, port.write_all(&bytes))
        .await
        .unwrap()
        .unwrap();
    reader.join().unwrap();
}

#[tokio::test]
async fn what_came_before_the_hang_up_is_read() {
    let (mut port, mut host) = pair();
    host.write_all(b"last").unwrap();
    drop(host);
    let mut bytes = [0; 4];
    timeout(SOON, port.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&bytes, b"last");
    let error = timeout(SOON, port.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = timeout(SOON, port.write_all(b"x"))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
