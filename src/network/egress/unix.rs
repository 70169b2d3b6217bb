//! Unix: resolv.conf(5).

/// The configuration of the resolver.
pub(super) const RESOLVER: Option<&str> = Some("/etc/resolv.conf");

#[cfg(test)]
mod tests {
    use crate::network::egress::names::{NameServers, tests::is_heard};

    #[tokio::test]
    async fn the_file_behind_a_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let (own, link) = (
            home.path().join("own/resolv"),
            home.path().join("etc/resolv"),
        );
        for file in [&own, &link] {
            fs_err::create_dir(file.parent().unwrap()).unwrap();
        }
        fs_err::write(&own, "nameserver 10.0.0.1\n").unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let mut names = NameServers::follow(&link).unwrap();
        let new = own.with_extension("new");
        fs_err::write(&new, "nameserver 10.0.0.2\n").unwrap();
        fs_err::rename(&new, &own).unwrap();
        is_heard(&mut names).await;
    }
}
