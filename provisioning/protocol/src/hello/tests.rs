//! Vectors, stale bytes, lost bytes, strangers.

use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::frame::MAX_FRAME;

fn hello(role: Role, secret: &str) -> Hello {
    Hello {
        role,
        secret: Secret::from_hex(&secret.repeat(32)).unwrap(),
        build: "0.1.0".into(),
        carrier: "virtio-serial".into(),
    }
}

fn host() -> HostHello {
    HostHello::new(&hello(Role::Host, "11")).unwrap()
}

fn guest() -> GuestHello {
    GuestHello::new(&hello(Role::Guest, "11")).unwrap()
}

/// Host and guest agree after these bytes have gone to the host and to the guest first.
fn agree(host: &mut HostHello, guest: &mut GuestHello, to_host: &[u8], to_guest: &[u8]) {
    let mut to_host = to_host.to_vec();
    let mut to_guest = to_guest.to_vec();
    to_guest.extend(host.greet().unwrap());
    for _ in 0..8 {
        let step = guest.receive(&std::mem::take(&mut to_guest)).unwrap();
        to_host.extend(step.send);
        assert_eq!(step.session, None, "before the host has proved itself");
        let mut arrived = std::mem::take(&mut to_host);
        loop {
            match host.receive(&std::mem::take(&mut arrived)) {
                HostStep::Wait => break,
                HostStep::Greet => to_guest.extend(host.greet().unwrap()),
                HostStep::Rejected(rejection) => panic!("{rejection:?}"),
                HostStep::Done { mut proof, session } => {
                    proof.extend(b"first frames");
                    let there = guest.receive(&proof).unwrap().session.unwrap();
                    assert_eq!(session.tag, there.tag);
                    assert_eq!(there.leftover, b"first frames");
                    return;
                }
            }
        }
    }
    panic!("host and guest do not agree");
}

#[test]
fn vectors_hold_and_are_the_written_ones() {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let nonces: NonceSource = || Ok([NEXT.fetch_add(0x11, Ordering::Relaxed) + 0xA0; 32]);
    let mut host = HostHello::with_source(&hello(Role::Host, "11"), nonces).unwrap();
    let mut guest = GuestHello::with_source(&hello(Role::Guest, "11"), nonces).unwrap();
    let knock = guest.knock();
    let greeting = host.greet().unwrap();
    let (padding, greeting) = greeting.split_at(MAX_FRAME);
    assert!(padding.iter().all(|byte| *byte == 0xFF));
    let answer = guest.receive(greeting).unwrap().send;
    let HostStep::Done { proof, session } = host.receive(&answer) else {
        panic!("no session")
    };
    let mut foreign = GuestHello::new(&hello(Role::Guest, "22")).unwrap();
    let reject = foreign.receive(greeting).unwrap().send;
    let document = include_str!("../../../../docs/protocol.md").replace([' ', '\n'], "");
    for (name, bytes) in [
        ("KNOCK", knock.as_slice()),
        ("HELLO", greeting),
        ("ANSWER", &answer),
        ("PROOF", &proof),
        ("REJECT", &reject),
        ("tag", &session.tag.0),
    ] {
        let text = crate::hex::encode(bytes);
        assert!(
            document.contains(&text),
            "docs/protocol.md lacks the {name} {text}"
        );
    }
    assert!(guest.receive(&proof).unwrap().session.is_some());
}

#[test]
fn a_clean_start() {
    agree(&mut host(), &mut guest(), b"", b"");
}

#[test]
fn every_cut_of_the_bytes_gives_the_same_session() {
    let (mut host, mut guest) = (host(), guest());
    let mut to_host = Vec::new();
    for byte in host.greet().unwrap() {
        to_host.extend(guest.receive(&[byte]).unwrap().send);
    }
    let mut done = None;
    for byte in to_host {
        match host.receive(&[byte]) {
            HostStep::Wait => {}
            HostStep::Done { proof, session } => done = Some((proof, session)),
            step => panic!("{step:?}"),
        }
    }
    let (proof, session) = done.unwrap();
    let there: Vec<_> = proof
        .iter()
        .filter_map(|byte| guest.receive(&[*byte]).unwrap().session)
        .collect();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].tag, session.tag);
}

#[test]
fn stale_bytes_before_the_hello_are_dropped() {
    let old = host().greet().unwrap();
    let old_hello = &old[MAX_FRAME..];
    let old_answer = guest().receive(&old).unwrap().send;
    let mut half_frame = vec![2, 0, 0, 64, 1, 0, 0, 0];
    half_frame.extend([0xFE; 300]);
    let huge_claim = [&MAGIC[..], &[1, 0xFF, 0x03]].concat();
    let stale: Vec<Vec<u8>> = vec![
        b"getty login: ".to_vec(),
        MAGIC.repeat(40),
        MAGIC[..5].to_vec(),
        half_frame,
        huge_claim,
        old_hello.to_vec(),
        old_hello[..old_hello.len() / 2].to_vec(),
        old_hello[..old_hello.len() - 1].to_vec(),
        old_hello[old_hello.len() / 2..].to_vec(),
        old_answer.clone(),
        old_answer[..old_answer.len() - 3].to_vec(),
        guest().knock(),
        guest().knock()[..30].to_vec(),
    ];
    for first in &stale {
        for second in &stale {
            let bytes = [first.as_slice(), second].concat();
            agree(&mut host(), &mut guest(), &bytes, b"");
            agree(&mut host(), &mut guest(), b"", &bytes);
            agree(&mut host(), &mut guest(), &bytes, &bytes);
        }
    }
}

#[test]
fn the_latest_hello_counts() {
    let (mut host, mut guest) = (host(), guest());
    let first = guest.receive(&host.greet().unwrap()).unwrap().send;
    let second = guest.receive(&host.greet().unwrap()).unwrap().send;
    assert_eq!(
        host.receive(&first),
        HostStep::Wait,
        "its nonce is no longer the latest"
    );
    let HostStep::Done { proof, .. } = host.receive(&second) else {
        panic!("no session")
    };
    assert!(guest.receive(&proof).unwrap().session.is_some());
}

#[test]
fn the_guest_holds_to_the_hello_that_it_answered_last() {
    let (mut old, mut new, mut guest) = (host(), host(), guest());
    let answer = guest.receive(&old.greet().unwrap()).unwrap().send;
    let HostStep::Done {
        proof: old_proof, ..
    } = old.receive(&answer)
    else {
        panic!()
    };
    let answer = guest.receive(&new.greet().unwrap()).unwrap().send;
    assert_eq!(guest.receive(&old_proof).unwrap(), GuestStep::default());
    let HostStep::Done { proof, session } = new.receive(&answer) else {
        panic!()
    };
    assert_eq!(
        guest.receive(&proof).unwrap().session.unwrap().tag,
        session.tag
    );
}

#[test]
fn a_knock_asks_for_a_new_hello() {
    let (mut host, mut guest) = (host(), guest());
    host.greet().unwrap();
    assert_eq!(host.receive(&guest.knock()), HostStep::Greet);
    agree(&mut host, &mut guest, b"", b"");
    let foreign = GuestHello::new(&hello(Role::Guest, "22")).unwrap().knock();
    assert_eq!(
        host.receive(&foreign),
        HostStep::Wait,
        "a stranger's knock is not heard"
    );
}

#[test]
fn nothing_can_be_reflected_or_replayed() {
    let (mut host, mut guest) = (host(), guest());
    let greeting = host.greet().unwrap();
    assert_eq!(host.receive(&greeting), HostStep::Wait, "its own HELLO");
    let answer = guest.receive(&greeting).unwrap().send;
    assert_eq!(
        guest.receive(&answer).unwrap(),
        GuestStep::default(),
        "its own ANSWER"
    );
    let HostStep::Done { proof, .. } = host.receive(&answer) else {
        panic!()
    };
    let mut other = self::guest();
    other.receive(&greeting).unwrap();
    assert_eq!(
        other.receive(&proof).unwrap().session,
        None,
        "a replayed PROOF"
    );
}

#[test]
fn one_changed_bit_is_no_message() {
    let (mut host, mut guest) = (host(), guest());
    let answer = guest.receive(&host.greet().unwrap()).unwrap().send;
    for position in 0..answer.len() {
        let mut wrong = answer.clone();
        wrong[position] ^= 1;
        assert_eq!(host.receive(&wrong), HostStep::Wait, "byte {position}");
    }
    assert!(matches!(host.receive(&answer), HostStep::Done { .. }));
}

#[test]
fn a_wrong_secret_is_told_and_not_often() {
    let mut foreign = GuestHello::new(&hello(Role::Guest, "22")).unwrap();
    let mut host = host();
    let reject = foreign.receive(&host.greet().unwrap()).unwrap().send;
    let HostStep::Rejected(rejection) = host.receive(&reject) else {
        panic!("not told")
    };
    assert_eq!(
        rejection,
        Rejection {
            reason: RejectReason::Secret,
            protocol: PROTOCOL_VERSION,
            build: "0.1.0".into(),
            authenticated: false,
        }
    );
    host.greet().unwrap();
    assert_eq!(
        host.receive(&reject),
        HostStep::Wait,
        "it is about an earlier HELLO"
    );
    let mut told = 0;
    for _ in 0..100 {
        told += usize::from(
            !foreign
                .receive(&host.greet().unwrap())
                .unwrap()
                .send
                .is_empty(),
        );
    }
    assert_eq!(told, 15);
}

#[test]
fn another_version_is_told() {
    let secret = Secret::from_hex(&"11".repeat(32)).unwrap();
    let body = wire::HelloBody {
        protocol: PROTOCOL_VERSION + 1,
        role: Role::Host,
        build: "9".into(),
        carrier: String::new(),
        nonce: [7; 32],
    };
    let mut host = HostHello::with_source(&hello(Role::Host, "11"), || Ok([7; 32])).unwrap();
    host.greet().unwrap();
    let reject = guest()
        .receive(&wire::encode(&secret, wire::HELLO, &body))
        .unwrap()
        .send;
    let HostStep::Rejected(rejection) = host.receive(&reject) else {
        panic!("not told")
    };
    assert_eq!(rejection.reason, RejectReason::Version);
    assert!(rejection.authenticated);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut guest = guest();
    for chunk in MAGIC.repeat(100_000).chunks(4096) {
        guest.receive(chunk).unwrap();
    }
    guest.receive(&MAGIC).unwrap();
    assert!(format!("{guest:?}").len() < 16 * 1024);
}

#[test]
fn long_and_strange_names_fit() {
    let mut long = hello(Role::Guest, "11");
    long.build = "\"\\\u{1}é".repeat(100);
    long.carrier = "\u{7f}\n".repeat(100);
    agree(&mut host(), &mut GuestHello::new(&long).unwrap(), b"", b"");
}

#[test]
fn the_wrong_end_is_refused() {
    assert!(matches!(
        HostHello::new(&hello(Role::Guest, "11")),
        Err(HelloError::Role)
    ));
    assert!(matches!(
        GuestHello::new(&hello(Role::Host, "11")),
        Err(HelloError::Role)
    ));
}
