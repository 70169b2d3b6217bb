//! A name server that knows every name by one address, as a role of this program: it has to run where the test cannot.

use std::net::{Ipv4Addr, UdpSocket};

/// The variable that gives the role: the address to listen at, and the one to answer with.
pub(crate) const ROLE: &str = "MACHINE_E2E_NAME_SERVER";

/// Plays the role for ever, if there is one.
pub(crate) fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (listen, answer) = role.split_once(' ').expect("two addresses");
    let answer: Ipv4Addr = answer.parse().expect("an address");
    let socket = UdpSocket::bind(listen).expect("the address is free");
    let mut packet = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut packet).expect("it is bound");
        if let Some(reply) = reply(&packet[..length], answer) {
            let _ = socket.send_to(&reply, client);
        }
    }
}

/// The answer to a question (RFC 1035, section 4): its header with the answer bits set, the question, and for an address
/// (type A) one record that points back at the name.
fn reply(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const TYPE_A: [u8; 2] = [0, 1];
    let name = query.get(HEADER..)?;
    let mut end = HEADER;
    let mut rest = name;
    while let Some((length, after)) = rest.split_first() {
        end += 1 + usize::from(*length);
        if *length == 0 {
            break;
        }
        rest = after.get(usize::from(*length)..)?;
    }
    let question = query.get(HEADER..end + 4)?;
    let answers = question.ends_with(&[TYPE_A[0], TYPE_A[1], 0, 1]);
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(answers), 0, 0, 0, 0]);
    reply.extend(question);
    if answers {
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
