//! What this crate makes, judged by the programs that will read it: Ignition, systemd, OpenSSH, mtools, dosfstools.
//!
//! They exist on Linux, and there a missing one is a failure. Each judge is also shown something wrong, so that its
//! silence means something.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use machine_protocol::boot::{BootParameters, Carrier, VIRTIO_SERIAL_PORT};
use machine_protocol::secret::Secret;
use machine_provisioning::{GuestSpec, IGNITION_LIMIT, ignition, keys, seed, units};

/// Whether the program was content, and all that it said.
fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> (bool, Vec<u8>) {
    let output = Command::new(program)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("`{program}` is needed: {error}"));
    (
        output.status.success(),
        [output.stdout, output.stderr].concat(),
    )
}

fn run_for_text<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> (bool, String) {
    let (content, said) = run(program, arguments);
    (content, String::from_utf8_lossy(&said).into_owned())
}

fn put(path: &Path, bytes: impl AsRef<[u8]>, mode: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
    assert!(run("chmod", [mode.as_ref(), path.as_os_str()]).0);
}

/// With real keys the document is accepted without a warning, and is far below the limit.
#[test]
fn ignition_accepts_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.ign");
    let validate = |text: &str| {
        put(&path, text, "0600");
        run_for_text("ignition-validate", [&path])
    };
    let client = keys::generate("machine").unwrap();
    let host = keys::generate("").unwrap();
    for (user, mount) in [("core", "/home/x"), ("a_user-with_a_long-name", "/Users")] {
        let spec = GuestSpec {
            user: user.to_owned(),
            uid: 100_500,
            authorized_key: client.public.clone(),
            host_key: host.clone().into(),
            mounts: vec![mount.to_owned()],
        };
        let text = ignition(&spec).unwrap();
        assert_eq!(text, ignition(&spec).unwrap());
        assert!(text.len() < IGNITION_LIMIT / 3, "{} bytes", text.len());
        assert_eq!(validate(&text), (true, String::new()));

        let broken = text.replace(r#""path":"/etc/subuid""#, r#""path":"etc/subuid""#);
        assert_ne!(broken, text);
        assert!(!validate(&broken).0);
    }
}

/// Unknown keys are only warnings to `systemd-analyze`, so its silence is asked for, not just its exit code.
#[test]
fn systemd_accepts_the_stub_unit() {
    let root = tempfile::tempdir().unwrap();
    let unit = root
        .path()
        .join("etc/systemd/system")
        .join(units::AGENT_UNIT);
    put(&root.path().join("usr/bin/mount"), "", "0755");
    put(&root.path().join("run/machine/seed/agent"), "", "0755");
    let verify = |text: &str| {
        put(&unit, text, "0644");
        let root = format!("--root={}", root.path().display());
        run_for_text("systemd-analyze", ["verify", &root, units::AGENT_UNIT])
    };
    assert_eq!(verify(units::AGENT_UNIT_TEXT), (true, String::new()));

    let broken = units::AGENT_UNIT_TEXT.replace("OOMScoreAdjust", "OOMScoreAjust");
    assert!(verify(&broken).1.contains("OOMScoreAjust"));
}

#[test]
fn openssh_derives_the_same_public_key() {
    let pair = keys::generate("machine `default`").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    put(&path, &pair.private, "0600");
    let (read, public) = run_for_text(
        "ssh-keygen",
        ["-y".as_ref(), "-f".as_ref(), path.as_os_str()],
    );
    assert!(read, "{public}");
    assert_eq!(public.trim_end(), pair.public);
}

#[test]
fn other_programs_read_the_seed() {
    let agent: Vec<u8> = (0..325_001_u32).flat_map(u32::to_le_bytes).collect();
    let boot = BootParameters {
        format: 1,
        machine: "default".to_owned(),
        secret: Secret::generate().unwrap(),
        user: "core".to_owned(),
        uid: 1000,
        rootful: false,
        carriers: vec![Carrier::VirtioSerial {
            port: VIRTIO_SERIAL_PORT.to_owned(),
        }],
        host_build: "test".to_owned(),
        facts: machine_protocol::boot::HostFacts::default(),
        shares: Vec::new(),
        data_disk: None,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seed.img");
    put(&path, seed::image(&agent, &boot, None).unwrap(), "0600");
    let image = path.to_str().unwrap();

    assert!(run("mtype", ["-i", image, "::agent"]) == (true, agent));
    assert_eq!(
        run("mtype", ["-i", image, "::boot.json"]),
        (true, serde_json::to_vec(&boot).unwrap())
    );

    let (listed, listing) = run_for_text("mdir", ["-i", image, "::"]);
    assert!(listed && listing.contains("is MACHINESEED\n"), "{listing}");
    assert!(listing.contains("1980-01-01"), "{listing}");

    // What udev goes by when it makes the link that the stub unit waits for.
    let (probed, properties) = run_for_text("blkid", ["-p", "-o", "export", image]);
    assert!(
        probed && properties.contains("LABEL=MACHINESEED\n"),
        "{properties}"
    );

    let (clean, report) = run_for_text("fsck.vfat", ["-n", "-v", image]);
    assert!(clean, "{report}");
    let mut damaged = fs_err::read(&path).unwrap();
    damaged[512 + 4] ^= 0xff;
    put(&path, damaged, "0600");
    let (clean, _) = run("fsck.vfat", ["-n", "-v", image]);
    assert!(!clean);
}
