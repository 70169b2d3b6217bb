//! Where processes listen, as the system tells: by the inodes of the sockets that they have open (proc(5)).

use std::collections::BTreeSet;

/// What others might connect to, or send to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Paths of unix sockets; one without a file begins with `@`.
    pub(crate) unix: BTreeSet<String>,
    /// Addresses and ports of TCP and UDP, as `0100007F:1F90` and `udp …`.
    pub(crate) network: BTreeSet<String>,
}

/// Where these processes listen, each given as its number.
pub(crate) fn listening(processes: &[String]) -> Listening {
    /// `SO_ACCEPTCON`, behind which stand the state and the inode.
    const ACCEPTS: &str = "00010000";
    const TCP_LISTEN: &str = "0A";
    let sockets: BTreeSet<String> = processes
        .iter()
        .flat_map(|number| sockets(number))
        .collect();
    let mut found = Listening::default();
    for words in table("unix") {
        if let [_, _, _, flags, _, _, inode, path] = &words[..]
            && flags == ACCEPTS
            && sockets.contains(inode)
        {
            found.unix.insert(path.clone());
        }
    }
    for (name, prefix) in [("tcp", ""), ("tcp6", ""), ("udp", "udp "), ("udp6", "udp ")] {
        for words in table(name) {
            let (Some(address), Some(state)) = (words.get(1), words.get(3)) else {
                continue;
            };
            let is_ours = words.get(9).is_some_and(|inode| sockets.contains(inode));
            if is_ours && (state == TCP_LISTEN || !prefix.is_empty()) {
                found.network.insert(format!("{prefix}{address}"));
            }
        }
    }
    found
}

fn sockets(number: &str) -> Vec<String> {
    let open = fs_err::read_dir(format!("/proc/{number}/fd"));
    let targets = open.into_iter().flatten().flatten();
    let targets = targets.filter_map(|entry| fs_err::read_link(entry.path()).ok());
    let inode = |target: std::path::PathBuf| {
        let target = target.to_str()?;
        let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    };
    targets.filter_map(inode).collect()
}

/// The lines of a table of the network, without its head.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = fs_err::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    text.lines().skip(1).map(words).collect()
}
