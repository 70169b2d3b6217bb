//! A gvproxy that takes what is sent to it and answers nothing, by the options of its README.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;

use super::words::{Given, Known, value};
use super::{FakeError, failed};

const OPTIONS: &[Known] = &[
    value("listen-vfkit", None),
    value("mtu", None),
    value("ssh-port", None),
];
/// No packet is longer.
const LONGEST: usize = 64 * 1024;

/// Listens until it is ended.
pub(super) fn run(words: &[OsString]) -> Result<(), FakeError> {
    // Go's options have one dash, and two are taken as well.
    let words: Vec<OsString> = words.iter().map(two_dashes).collect();
    let given = Given::parse(&words, OPTIONS)?;
    given.number("mtu")?;
    match given.one("ssh-port")? {
        None | Some("-1") => {}
        Some(_) => return Err(FakeError::Usage("the fake has no SSH port".to_owned())),
    }
    let listen = given.one("listen-vfkit")?.unwrap_or_default();
    let path = listen
        .strip_prefix("unixgram://")
        .ok_or_else(|| FakeError::Usage(format!("`{listen}` is no `unixgram://` URL")))?;
    let socket = UnixDatagram::bind(path).map_err(failed(format!("listen {path}")))?;
    let mut packet = vec![0; LONGEST];
    loop {
        socket.recv(&mut packet).map_err(failed("receive"))?;
    }
}

fn two_dashes(word: &OsString) -> OsString {
    let known = |name: &str| OPTIONS.iter().any(|option| option.name == name);
    match word.to_str().and_then(|word| word.strip_prefix('-')) {
        Some(name) if known(name) => format!("--{name}").into(),
        _ => word.clone(),
    }
}
