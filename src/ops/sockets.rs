//! From the words of a user to the sockets of the host that a guest is to have.
//!
//! Whether somebody listens at the host's end is not looked at: a server may come and go while the machine runs.

use super::volumes::style;
use crate::machine::ForwardSocket;
use crate::machine::sockets::{self, SocketError};

/// Settles the sockets of a guest with this user; an empty word is none.
pub fn settle(texts: &[String], user: &str) -> Result<Vec<ForwardSocket>, SocketError> {
    let texts = texts.iter().filter(|text| !text.is_empty());
    let settled = texts
        .map(|text| sockets::parse(text, style(), user))
        .collect::<Result<Vec<_>, _>>()?;
    // The folders of the machine are looked at with all else of it.
    sockets::check(&settled, &[], user)?;
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_sockets_and_go_together() {
        let settle = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            settle(&texts, "core")
        };
        assert_eq!(settle(&[""]), Ok(Vec::new()));
        let both = settle(&["ssh-agent:/run/host/a", "", "/b:/run/host/b"]).unwrap();
        let texts: Vec<String> = both.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["ssh-agent:/run/host/a", "/b:/run/host/b"]);
        let twice = settle(&["ssh-agent:/run/host/a", "/b:/run/host/a"]);
        assert!(matches!(twice, Err(SocketError::Clash(..))), "{twice:?}");
        let home = settle(&["/b:/home/core/.ssh/a"]);
        assert!(matches!(home, Err(SocketError::Forbidden(_))), "{home:?}");
    }
}
