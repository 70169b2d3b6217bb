//! A registry with a password: log in, push and pull by both clients; credentials stay with the client.
//!
//! The registry listens on the host's loopback. The guest reaches that at [`HOST`], the clients do not: podman's logs
//! in by itself, so it gets the registry as its proxy and both sides use one name.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use super::network::HOST;
use super::{Engine, each, ended, guest, says};
use crate::support::command::{clean, run};
use crate::support::follow::{Following, follow};
use crate::support::home::{BOOT, SOON};
use crate::support::shared::IMAGE;

pub(super) fn trials() -> Vec<Trial> {
    each("a_registry_with_a_password", with_password)
}

const USER: &str = "tour";
const PASSWORD: &str = "open sesame";
/// bcrypt of the password, as `htpasswd -B` writes it.
const ENTRY: &str = "tour:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";
/// base64 of `tour:open sesame`, which is what a client keeps.
const KEPT: &str = "dG91cjpvcGVuIHNlc2FtZQ==";

struct Registry {
    /// Ends with this value.
    _server: Following,
    /// As the engine calls it.
    name: String,
    proxy: String,
}

fn registry(directory: &Path) -> Registry {
    let (settings, passwords) = (directory.join("config.yml"), directory.join("htpasswd"));
    let data = directory.join("data");
    let text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n\
         http: {{addr: \"127.0.0.1:0\"}}\nauth: {{htpasswd: {{realm: tour, path: \"{}\"}}}}\n",
        data.display(),
        passwords.display()
    );
    fs_err::write(&settings, text).expect("a file can be written");
    fs_err::write(&passwords, ENTRY).expect("a file can be written");
    let mut command = clean(Path::new("/bin/sh"), directory);
    command.args(["-c", "exec docker-registry serve \"$0\" 2>&1"]);
    let mut server = follow(command.arg(settings));
    let line = server.until("listening on 127.0.0.1:", SOON);
    let after = line.split("127.0.0.1:").nth(1).expect("an address");
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    Registry {
        _server: server,
        name: format!("{HOST}:{port}"),
        proxy: format!("http://127.0.0.1:{port}"),
    }
}

impl Registry {
    /// `podman-remote login` with this password.
    fn podman_login(&self, engine: &Engine<'_>) -> Command {
        let mut command = engine.podman();
        command
            .env("HTTP_PROXY", &self.proxy)
            .env("HTTPS_PROXY", &self.proxy);
        command.args([
            "login",
            "--tls-verify=false",
            "--username",
            USER,
            "--password-stdin",
        ]);
        command.arg(&self.name);
        command
    }
}

fn with_password(engine: &Engine<'_>) {
    let registry = registry(&engine.directory("registry"));
    let image = format!("{}/{USER}/busybox:by", registry.name);
    guest::trust_plain_registries(engine);
    for client in [Engine::podman, Engine::docker] {
        says(client(engine).args(["tag", IMAGE, &image]));
        let refused = ended(client(engine).args(["push", &image]));
        assert!(!refused.status.success());
        let text = refused.stderr + &String::from_utf8_lossy(&refused.stdout);
        assert!(text.contains("authentication required"), "{text}");
    }

    let refused = run(&mut registry.podman_login(engine), b"close sesame", BOOT);
    assert!(!refused.status.success());
    assert!(
        refused.stderr.contains("invalid username/password"),
        "{}",
        refused.stderr
    );
    run(
        &mut registry.podman_login(engine),
        PASSWORD.as_bytes(),
        BOOT,
    )
    .succeeded();
    // Podman 5.4 takes a login of Docker's API for a registry without TLS only where that is called `localhost`, so
    // this is what `docker login` leaves behind.
    let settings = engine.home.path().join(".docker");
    fs_err::create_dir_all(&settings).expect("a directory can be made");
    let text = serde_json::json!({"auths": {&registry.name: {"auth": KEPT}}});
    fs_err::write(settings.join("config.json"), text.to_string()).expect("a file can be written");

    for client in [Engine::podman, Engine::docker] {
        says(client(engine).args(["push", &image]));
        says(client(engine).args(["rmi", &image]));
        says(client(engine).args(["pull", &image]));
    }
    let file = engine.home.path().join("containers/auth.json");
    let text = fs_err::read_to_string(file).expect("the client's file");
    assert!(
        text.contains(KEPT) && text.contains(&registry.name),
        "{text}"
    );
    let script = format!(
        "grep -rlF {KEPT} /etc /run /tmp /var/home /var/roothome /var/tmp 2>/dev/null || true"
    );
    assert_eq!(
        guest::as_root(engine, &script),
        "",
        "no credentials in the guest"
    );
}
