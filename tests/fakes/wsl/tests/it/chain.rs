//! From an image's tar file to the engine's answer: the tree is laid, imported and kept alive, the real agent runs in the
//! distribution, and the link goes through the standard streams of a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use machine::provider::wsl::distro::Distro;
use machine::provider::wsl::{Wsl, argv};
use machine_protocol::boot::{
    BOOT_FORMAT, BRIDGE_SOCKET, BootParameters, Carrier, HostFacts, SEED_AGENT, SEED_BOOT,
};
use machine_protocol::link::{Hello, Link, Role, connect};
use machine_protocol::message::{Engine, Target};
use machine_protocol::secret::Secret;
use machine_provisioning::{GuestSpec, HostKey, wsl as tree};
use tokio::sync::Notify;

use crate::support::{Host, WSL, agent};

const LIMIT: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what)
        .await
        .expect("it takes too long")
}

fn seed(host: &Host, agent: &[u8], secret: &Secret) -> PathBuf {
    let boot = BootParameters {
        format: BOOT_FORMAT,
        machine: "a".to_owned(),
        secret: secret.clone(),
        user: "anna".to_owned(),
        uid: 1234,
        rootful: true,
        carriers: vec![Carrier::Bridge {
            socket: BRIDGE_SOCKET.to_owned(),
        }],
        host_build: "test".to_owned(),
        facts: HostFacts::default(),
        shares: Vec::new(),
        data_disk: None,
    };
    let mut archive = tar::Builder::new(Vec::new());
    let boot = serde_json::to_vec(&boot).unwrap();
    for (name, mode, bytes) in [(SEED_AGENT, 0o700, agent), (SEED_BOOT, 0o600, &boot)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    let path = host.path("seed.tar");
    fs_err::write(&path, archive.into_inner().unwrap()).unwrap();
    path
}

/// An engine that knows one answer.
fn engine(socket: &Path) {
    fs_err::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = [0; 1024];
            if client.read(&mut request).is_ok_and(|length| length > 0) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
                drop(client.write_all(answer));
            }
        }
    });
}

async fn exchange(link: &Link, target: &Target, bytes: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = link.open(target).unwrap().into_split();
    let sending = async {
        to.write_all(bytes).await.unwrap();
        to.finish();
    };
    // What comes back is read meanwhile, or the window would be full.
    let receiving = async {
        let mut received = Vec::new();
        while let Some(bytes) = from.read().await.unwrap() {
            received.extend_from_slice(&bytes);
        }
        received
    };
    tokio::join!(sending, receiving).1
}

#[tokio::test]
async fn from_an_image_to_the_engines_answer() {
    let host = Host::new();
    let home = host.path("").into_os_string();
    let wsl = Wsl::new(WSL.as_ref(), &[("FAKE_WSL_HOME".into(), home)]);
    let (program, libraries) = agent();
    let spec = GuestSpec {
        user: "anna".to_owned(),
        uid: 1234,
        authorized_key: "ssh-ed25519 AAAA machine".to_owned(),
        host_key: HostKey {
            private: "private".to_owned(),
            public: "ssh-ed25519 AAAA".to_owned(),
        },
        mounts: Vec::new(),
    };
    let mut files: Vec<(String, Vec<u8>)> = libraries
        .iter()
        .map(|path| {
            let inside = path.to_str().unwrap().trim_start_matches('/');
            (inside.to_owned(), fs_err::read(path).unwrap())
        })
        .collect();
    files.push(("usr/lib/systemd/systemd".to_owned(), Vec::new()));
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    let image = fs_err::read(host.tar(&files)).unwrap();
    let laid = host.path("laid.tar");
    let to = fs_err::File::create(&laid).unwrap();
    tree::lay(&tree::tree(&spec).unwrap(), &image[..], to, 1 << 30).unwrap();

    let distro = Distro {
        name: "machine-a".to_owned(),
        place: host.path("place"),
        record: host.path("distro.json"),
    };
    distro.ensure(&wsl, &laid).await.unwrap();
    assert!(!wsl.is_running(&distro.name).await.unwrap());

    // The user is there, and is who a program runs as that asks for nobody.
    let id = ["-d", "machine-a", "--cd", "/", "--exec", "/bin/id", "-un"];
    let (_, who) = host.said(&[
        "-d",
        "machine-a",
        "-u",
        "anna",
        "--cd",
        "/",
        "--exec",
        "/bin/id",
        "-un",
    ]);
    assert_eq!(host.said(&id), (0, who.clone()));
    // Without root's powers the stand-in has root alone.
    let root = fs_err::metadata("/proc/self").unwrap().uid() == 0;
    assert_eq!(who, if root { "anna\n" } else { "root\n" });

    let secret = Secret::generate().unwrap();
    let seed = fs_err::File::open(seed(&host, &program, &secret)).unwrap();
    let mut keeper = wsl
        .command(&argv::keep(&distro.name))
        .stdin(seed.into_parts().0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(keeper.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    assert_eq!(said, "up\n");
    assert!(wsl.is_running(&distro.name).await.unwrap());
    engine(&distro.place.join("rootfs/run/podman/podman.sock"));

    let mut bridge = tokio::process::Command::from(wsl.command(&argv::bridge(&distro.name)));
    let mut bridge = bridge
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let streams = tokio::io::join(bridge.stdout.take().unwrap(), bridge.stdin.take().unwrap());
    let hello = Hello {
        role: Role::Host,
        secret,
        build: "test".to_owned(),
        carrier: "bridge".to_owned(),
    };
    let (link, driver) = soon(connect(streams, &hello, &Notify::new()))
        .await
        .unwrap();
    let driver = tokio::spawn(driver.run());
    let large = vec![b'x'; 1 << 20];
    assert!(soon(exchange(&link, &Target::Echo, &large)).await == large);
    let ping = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
    let answer = soon(exchange(&link, &Target::Engine(Engine::Rootful), ping)).await;
    assert!(
        answer.ends_with(b"\r\n\r\nOK"),
        "{}",
        String::from_utf8_lossy(&answer)
    );

    wsl.terminate(&distro.name).await.unwrap();
    soon(driver).await.unwrap();
    assert!(!keeper.wait().unwrap().success());
    assert!(!wsl.is_running(&distro.name).await.unwrap());
    distro.remove(&wsl).await.unwrap();
    assert!(!wsl.is_registered(&distro.name).await.unwrap());
    assert!(!distro.place.exists());
    assert_eq!(host.violations(), "");
}
