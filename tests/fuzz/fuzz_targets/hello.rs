//! Both ends get the input before the real hello, in pieces, and must agree all the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_protocol::{
    hello::{GuestHello, Hello, HostHello, HostStep, Role},
    secret::Secret,
};

fn hello(role: Role) -> Hello {
    let secret = Secret::from_hex(&"11".repeat(32)).unwrap();
    Hello {
        role,
        secret,
        build: "fuzz".into(),
        carrier: "fuzz".into(),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, input)) = input.split_first() else {
        return;
    };
    let (to_guest, to_host) = input.split_at(usize::from(*cut).min(input.len()));
    let mut host = HostHello::new(&hello(Role::Host)).unwrap();
    let mut guest = GuestHello::new(&hello(Role::Guest)).unwrap();
    let mut to_guest = to_guest.to_vec();
    let mut to_host = to_host.to_vec();
    to_guest.extend(host.greet().unwrap());
    for _ in 0..8 {
        for piece in std::mem::take(&mut to_guest).chunks(16 + usize::from(*cut)) {
            let step = guest.receive(piece).unwrap();
            assert!(step.session.is_none());
            to_host.extend(step.send);
        }
        for piece in std::mem::take(&mut to_host).chunks(16 + usize::from(*cut)) {
            let mut arrived = piece;
            loop {
                match host.receive(arrived) {
                    HostStep::Wait => break,
                    HostStep::Greet => to_guest.extend(host.greet().unwrap()),
                    HostStep::Rejected(rejection) => panic!("{rejection:?}"),
                    HostStep::Done { proof, session } => {
                        let there = guest.receive(&proof).unwrap().session.unwrap();
                        assert_eq!(there.tag, session.tag);
                        return;
                    }
                }
                arrived = &[];
            }
        }
    }
    panic!("host and guest do not agree");
});
