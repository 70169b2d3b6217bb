//! Containers that reach each other by name, and the world outside.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use libtest_mimic::Trial;

use super::{Engine, each, ended, rootless};
use crate::support::shared::IMAGE;

/// The host's loopback, as a guest sees it through QEMU's own network.
pub(super) const HOST: &str = "10.0.2.2";

pub(super) fn trials() -> Vec<Trial> {
    [
        each("containers_reach_each_other_by_name_and_the_host", by_name),
        vec![rootless(
            "a_network_program_that_is_missing_is_named",
            missing_program,
        )],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A web server on the host's loopback that answers every request with `word`; gives its port.
pub(crate) fn word_server(word: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let request = stream.try_clone().map(BufReader::new);
            let lines = request.into_iter().flat_map(BufRead::lines);
            // A request ends with an empty line.
            lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{word}").as_bytes());
        }
    });
    port
}

fn by_name(engine: &Engine<'_>) {
    let network = "tour-net";
    engine.podman_says(&["network", "create", network]);
    let server = [
        "run",
        "--detach",
        "--network",
        network,
        "--network-alias",
        "other-name",
        "--name",
        "server",
    ];
    engine.podman_says(&[&server[..], &[IMAGE, "sleep", "100000"]].concat());
    // The server's program returns when it listens.
    engine.podman_says(&[
        "exec",
        "server",
        "sh",
        "-c",
        "echo by name >/page; httpd -h /",
    ]);
    let port = word_server("the host");
    let script = format!(
        "wget -qO- http://server/page; wget -qO- http://other-name/page; \
         for host in host.containers.internal host.docker.internal; do wget -qO- http://$host:{port}/; done"
    );
    let client = [
        "run",
        "--rm",
        "--network",
        network,
        IMAGE,
        "sh",
        "-c",
        &script,
    ];
    assert_eq!(
        engine.docker_says(&client),
        "by name\nby name\nthe hostthe host"
    );
    // The name belongs to the network: without a server it is unknown.
    engine.podman_says(&["rm", "--force", "--time", "0", "server"]);
    engine.podman_says(&["network", "rm", network]);
}

/// The guest has pasta alone.
fn missing_program(engine: &Engine<'_>) {
    let run = ["run", "--rm", "--network", "slirp4netns", IMAGE, "true"];
    let ended = ended(engine.podman().args(run));
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains("could not find slirp4netns"),
        "{}",
        ended.stderr
    );
}
