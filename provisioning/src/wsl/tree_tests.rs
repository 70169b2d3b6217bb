//! The tree against the guest contract.

use super::*;
use crate::guest::HostKey;

fn spec(user: &str, uid: u32) -> GuestSpec {
    GuestSpec {
        user: user.to_owned(),
        uid,
        authorized_key: "ssh-ed25519 AAAAclient machine".to_owned(),
        host_key: HostKey {
            private: "-----BEGIN-----".to_owned(),
            public: "ssh-ed25519 AAAAhost".to_owned(),
        },
        mounts: vec!["/Users".to_owned()],
    }
}

fn lines(tree: &Tree) -> Vec<String> {
    let line = |(path, entry): (&String, &Entry)| {
        let what = match &entry.kind {
            Kind::Directory => "directory".to_owned(),
            Kind::File(text) => format!("{text:?}"),
            Kind::Link(target) => format!("-> {target}"),
        };
        format!("{path} {:o} {}:{} {what}", entry.mode, entry.uid, entry.gid)
    };
    tree.entries.iter().map(line).collect()
}

#[test]
fn what_podman_relies_on_is_in_the_tree() {
    let tree = tree(&spec("anna", 501)).unwrap();
    let lines = lines(&tree);
    for expected in [
        r#"etc/ssh/ssh_host_ed25519_key 600 0:0 "-----BEGIN-----\n""#,
        r#"etc/subuid 644 0:0 "anna:100000:1000000\n""#,
        r#"etc/sudoers.d/50-machine 440 0:0 "anna ALL=(ALL) NOPASSWD: ALL\n""#,
        "etc/systemd/system/docker.socket 777 0:0 -> /dev/null",
        "etc/systemd/system/sockets.target.wants/podman.socket 777 0:0 -> /usr/lib/systemd/system/podman.socket",
        "etc/systemd/system/sshd.service 777 0:0 -> /dev/null",
        "etc/systemd/system/zincati.service 777 0:0 -> /dev/null",
        "etc/systemd/user/sockets.target.wants/podman.socket 777 0:0 -> /usr/lib/systemd/user/podman.socket",
        r#"etc/wsl.conf 644 0:0 "[boot]\nsystemd=true\n\n[user]\ndefault=anna\n""#,
        "home/anna 700 501:1000 directory",
        "home/anna/.config 755 501:1000 directory",
        "home/anna/.ssh 700 501:1000 directory",
        r#"home/anna/.ssh/authorized_keys 600 501:1000 "ssh-ed25519 AAAAclient machine\n""#,
        "root/.ssh 700 0:0 directory",
        r#"root/.ssh/authorized_keys 600 0:0 "ssh-ed25519 AAAAclient machine\n""#,
        r#"var/lib/systemd/linger/anna 644 0:0 """#,
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}\n{lines:#?}"
        );
    }
    let drop_in = &tree.entries["etc/systemd/system/user@.service.d/10-machine.conf"];
    let Kind::File(text) = &drop_in.kind else {
        unreachable!("a drop-in is a file")
    };
    assert!(text.contains("RequiresMountsFor=/home/anna/.local/share/containers\n"));
    // A masked unit has no drop-in, and nothing of the tree needs a disk or Ignition.
    assert!(!lines.iter().any(|line| line.contains("sshd.service.d")));
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("LABEL=") || line.contains("composefs"))
    );
}

#[test]
fn both_renderings_tell_the_same_files() {
    let spec = spec("core", 1000);
    let document: serde_json::Value =
        serde_json::from_str(&crate::ignition(&spec).unwrap()).unwrap();
    let tree = tree(&spec).unwrap();
    for list in ["files", "links", "directories"] {
        for node in document["storage"][list].as_array().unwrap() {
            let path = node["path"].as_str().unwrap();
            let path = path.replace("/var/home/", "home/");
            let path = path.trim_start_matches('/');
            let entry = &tree.entries[path];
            if let Some(mode) = node["mode"].as_u64() {
                assert_eq!(u64::from(entry.mode), mode, "{path}");
            }
            if let Some(target) = node["target"].as_str() {
                assert_eq!(entry.kind, Kind::Link(target.to_owned()));
            }
            let is_users = node["user"]["name"] == "core";
            assert_eq!(entry.uid, if is_users { 1000 } else { 0 }, "{path}");
        }
    }
}

#[test]
fn what_ignition_refuses_is_refused_here() {
    assert!(matches!(
        tree(&spec("root", 1000)),
        Err(ProvisioningError::User(_))
    ));
    assert!(matches!(
        tree(&spec("core", 0)),
        Err(ProvisioningError::RootUser(_))
    ));
}
