//! The document against the guest contract. Ignition's own judgement is asked in `tests/linux.rs`.

use serde_json::{Value, json};

use super::*;
use crate::guest::{HostKey, NO_PENALTIES};
use crate::units::AGENT_UNIT_TEXT;

fn spec(user: &str, uid: u32) -> GuestSpec {
    GuestSpec {
        user: user.to_owned(),
        uid,
        authorized_key: "ssh-ed25519 AAAAclient machine".to_owned(),
        host_key: HostKey {
            private: "-----BEGIN-----\nx+y=\n-----END-----\n".to_owned(),
            public: "ssh-ed25519 AAAAhost".to_owned(),
        },
        mounts: vec!["/home/ann".to_owned()],
    }
}

fn document(spec: &GuestSpec) -> Value {
    serde_json::from_str(&ignition(spec).unwrap()).unwrap()
}

fn file(path: &str, mode: u32, source: &str) -> Value {
    json!({"path": path, "mode": mode, "overwrite": true, "contents": {"source": source}})
}

fn directory(path: &str, user: &str) -> Value {
    json!({"path": path, "mode": 0o755, "user": {"name": user}, "group": {"name": user}})
}

fn storage_unit(name: &str) -> Value {
    json!({"name": name, "dropins": [
        {"name": "10-machine.conf", "contents": "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor=/var/lib/containers\n"},
    ]})
}

#[test]
fn the_whole_document_for_core() {
    let expected = json!({
        "ignition": {"version": "3.2.0"},
        "passwd": {"users": [
            {"name": "core", "uid": 1000, "sshAuthorizedKeys": ["ssh-ed25519 AAAAclient machine"]},
            {"name": "root", "sshAuthorizedKeys": ["ssh-ed25519 AAAAclient machine"]},
        ]},
        "storage": {
            "directories": [
                directory("/var/home/core/.config", "core"),
                directory("/var/home/core/.config/containers", "core"),
                directory("/var/home/core/.config/systemd", "core"),
                directory("/var/home/core/.config/systemd/user", "core"),
            ],
            "files": [
                {
                    "path": "/var/home/core/.config/containers/containers.conf",
                    "mode": 0o644,
                    "overwrite": true,
                    "user": {"name": "core"},
                    "group": {"name": "core"},
                    "contents": {"source": "data:,%5Bcontainers%5D%0Anetns%3D%22bridge%22%0Apids_limit%3D0%0A"},
                },
                file("/var/lib/systemd/linger/core", 0o644, "data:,"),
                file("/etc/subuid", 0o644, "data:,core%3A100000%3A1000000%0A"),
                file("/etc/subgid", 0o644, "data:,core%3A100000%3A1000000%0A"),
                file("/etc/sysctl.d/10-inotify-instances.conf", 0o644,
                     "data:,fs.inotify.max_user_instances%3D524288%0A"),
                file("/etc/ssh/ssh_host_ed25519_key", 0o600,
                     "data:,-----BEGIN-----%0Ax%2By%3D%0A-----END-----%0A"),
                file("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, "data:,ssh-ed25519%20AAAAhost%0A"),
            ],
            "links": [
                {"path": "/etc/systemd/user/sockets.target.wants/podman.socket", "overwrite": true,
                 "target": "/usr/lib/systemd/user/podman.socket"},
                {"path": "/usr/local/bin/docker", "overwrite": true, "target": "/usr/bin/podman"},
            ],
        },
        "systemd": {"units": [
            {"name": "podman.socket", "enabled": true},
            {"name": "podman.service", "dropins": [
                {"name": "10-machine.conf", "contents": "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor=/var/lib/containers /etc/containers/networks\n[Service]\nEnvironmentFile=-/run/machine/engine.env\n"},
            ]},
            storage_unit("podman-restart.service"),
            storage_unit("podman-auto-update.service"),
            storage_unit("podman-kube@.service"),
            {"name": "user@.service", "dropins": [
                {"name": "10-machine.conf", "contents": "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor=/var/home/core/.local/share/containers\n[Service]\nDelegate=memory pids cpu io\n"},
            ]},
            {"name": "sshd.service", "dropins": [{"name": "10-machine.conf", "contents": NO_PENALTIES}]},
            {"name": "ssh.service", "dropins": [{"name": "10-machine.conf", "contents": NO_PENALTIES}]},
            {"name": "zincati.service", "enabled": false},
            {"name": "docker.socket", "mask": true},
            {"name": "machine-agent.service", "enabled": true, "contents": AGENT_UNIT_TEXT},
        ]},
    });
    assert_eq!(document(&spec("core", 1000)), expected);
}

#[test]
fn another_user_replaces_core() {
    let document = document(&spec("anna", 1234));
    assert_eq!(
        document["passwd"]["users"],
        json!([
            {"name": "core", "shouldExist": false},
            {"name": "anna", "uid": 1234, "groups": ["sudo", "adm", "wheel", "systemd-journal"],
             "sshAuthorizedKeys": ["ssh-ed25519 AAAAclient machine"]},
            {"name": "root", "sshAuthorizedKeys": ["ssh-ed25519 AAAAclient machine"]},
        ])
    );
    let text = document.to_string();
    assert!(text.contains("/var/home/anna/.config"));
    assert!(text.contains("/var/lib/systemd/linger/anna"));
    assert!(!text.contains("/var/home/core"));
}

#[test]
fn impossible_users_are_refused() {
    let long = "a".repeat(33);
    for user in [
        "",
        "root",
        "Anna",
        "1a",
        "-a",
        "a b",
        "a/b",
        "a:b",
        "ä",
        "a\n",
        long.as_str(),
    ] {
        let error = ignition(&spec(user, 1000)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{user}` cannot be the name of the guest's user")
        );
    }
    assert!(matches!(
        ignition(&spec("core", 0)),
        Err(ProvisioningError::RootUser(_))
    ));
    ignition(&spec(&"a".repeat(32), 1000)).unwrap();
}

#[test]
fn keys_are_single_lines() {
    let mut two = spec("core", 1000);
    two.authorized_key.push_str("\nssh-ed25519 BBBB");
    assert_eq!(
        ignition(&two).unwrap_err().to_string(),
        "The authorized key is not a single line"
    );
    let mut none = spec("core", 1000);
    none.host_key.public.clear();
    assert_eq!(
        ignition(&none).unwrap_err().to_string(),
        "The host key is not a single line"
    );
}

#[test]
fn a_long_document_is_refused() {
    let mut long = spec("core", 1000);
    long.authorized_key = "x".repeat(IGNITION_LIMIT / 2);
    assert!(
        matches!(ignition(&long), Err(ProvisioningError::TooLong(length)) if length > IGNITION_LIMIT)
    );
}

/// A directory in `/` needs what a later specification has; all else stays the same.
#[test]
fn room_in_the_root_only_where_a_folder_needs_it() {
    let with = |targets: &[&str]| {
        let mut spec = spec("core", 1000);
        spec.mounts = targets.iter().map(|target| (*target).to_owned()).collect();
        document(&spec)
    };
    let plain = with(&[]);
    for target in [
        "/home/ann",
        "/mnt/x",
        "/var/folders",
        "/usr/local/src",
        "/etc/mine",
    ] {
        assert_eq!(with(&[target]), plain, "{target}");
    }
    for target in ["/Users", "/c/Users/me", "/usr/src", "/homes"] {
        let mut roomy = with(&["/home/ann", target]);
        assert_eq!(
            roomy["kernelArguments"],
            json!({"shouldExist": ["ostree.prepare-root.composefs=0"]}),
            "{target}"
        );
        assert_eq!(roomy["ignition"]["version"], "3.3.0");
        let units = roomy["systemd"]["units"].as_array_mut().unwrap();
        assert_eq!(
            units.pop(),
            Some(json!({"name": "coreos-warn-invalid-mounts.service", "enabled": false}))
        );
        roomy["ignition"]["version"] = json!("3.2.0");
        roomy.as_object_mut().unwrap().remove("kernelArguments");
        assert_eq!(roomy, plain);
    }
}
