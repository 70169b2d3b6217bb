//! The host's name servers, followed for a program that asks those of its start for ever.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use machine_host::watch::DirectoryWatch;

/// A resolv.conf(5) that is watched.
#[derive(Debug)]
pub(super) struct NameServers {
    file: PathBuf,
    watch: DirectoryWatch,
    present: Vec<IpAddr>,
}

impl NameServers {
    /// Begins with those of now.
    pub(super) fn follow(file: &Path) -> io::Result<Self> {
        let mut followed = Self {
            file: file.to_owned(),
            watch: DirectoryWatch::new()?,
            present: Vec::new(),
        };
        followed.attend()?;
        followed.present = followed.read();
        Ok(followed)
    }

    /// Ready when there are others. A host that has none leaves things as they are: a file that is being written is
    /// empty for a moment. Cancel safe.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.watch.changed().await?;
            // It may be another file now.
            self.attend()?;
            let now = self.read();
            if !now.is_empty() && now != self.present {
                self.present = now;
                return Ok(());
            }
        }
    }

    /// Watches the file's place, what it leads to, and itself: it is renamed into its place by some, reached by a link
    /// with others, mounted over or written into by the rest.
    fn attend(&mut self) -> io::Result<()> {
        let target = fs_err::canonicalize(&self.file).ok();
        for file in [Some(self.file.clone()), target].into_iter().flatten() {
            if let Some(directory) = file.parent() {
                self.watch.add(directory)?;
            }
            // One that is not there yet is seen by its place.
            let _ = self.watch.add(&file);
        }
        Ok(())
    }

    fn read(&self) -> Vec<IpAddr> {
        let text = fs_err::read_to_string(&self.file).unwrap_or_default();
        listed(&text)
    }
}

/// Each `nameserver` of a resolv.conf(5), in its order.
pub(super) fn listed(text: &str) -> Vec<IpAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    // An address of a link has the name of its card behind a `%`.
    let addresses = named.filter_map(|name| name.split('%').next()?.parse().ok());
    addresses.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn servers_are_listed_in_order() {
        for (text, expected) in [
            (
                "nameserver 127.0.0.53\nnameserver 9.9.9.9\n",
                vec!["127.0.0.53", "9.9.9.9"],
            ),
            (
                "# nameserver 127.0.0.1\nsearch x\nnameserver\t10.1.1.1\n",
                vec!["10.1.1.1"],
            ),
            ("nameserver fe80::1%eth0\n", vec!["fe80::1"]),
            ("nameserver nonsense\nnameserver 10.1.1.1", vec!["10.1.1.1"]),
            ("nameserver", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    pub(in crate::network::egress) async fn is_heard(names: &mut NameServers) {
        let heard = timeout(LIMIT, names.changed()).await;
        heard.expect("the change is heard of").unwrap();
    }

    #[tokio::test]
    async fn a_change_is_heard_of_however_it_is_made() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("resolv.conf");
        let write = |text: &str| fs_err::write(&file, text).unwrap();
        write("nameserver 10.0.0.1\n");
        let mut names = NameServers::follow(&file).unwrap();
        write("nameserver 10.0.0.2\n");
        is_heard(&mut names).await;
        for number in 3..6 {
            let new = home.path().join("new");
            fs_err::write(&new, format!("nameserver 10.0.0.{number}\n")).unwrap();
            fs_err::rename(&new, &file).unwrap();
            is_heard(&mut names).await;
        }
        write("nameserver 10.0.0.6\n");
        is_heard(&mut names).await;
        // Neither other settings, nor a host without any, nor the same again.
        write("# more\nnameserver 10.0.0.6\noptions edns0\n");
        write("");
        fs_err::remove_file(&file).unwrap();
        write("nameserver 10.0.0.6\n");
        let silence = timeout(Duration::from_millis(300), names.changed()).await;
        assert!(silence.is_err());
        write("nameserver 10.0.0.6\nnameserver 10.0.0.7\n");
        is_heard(&mut names).await;
    }
}
