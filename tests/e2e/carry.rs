//! Each link must carry: what goes over the mux of a real guest, whatever the carrier.
//!
//! The bulk tests open streams to the agent's own sources and sinks through the control socket's `tunnel` request, so
//! that they measure the link and not a container engine under emulation.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;
use machine::supervisor::control::{self, Greeting, NEWEST, Reply, Request};
use machine_protocol::message::{self, AgentReply, AgentRequest, Target};
use sha2::{Digest, Sha256};

use crate::support::command::{begin, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, Carrier, IMAGE, NAME, podman};
use crate::support::{api, for_full, trial};

/// Several times what buffers may hold, and quick enough for every run.
const QUARTER: u64 = 1 << 28;
const GIB: u64 = 1 << 30;
/// What buffers of one end may hold in all (design: 64 MiB for a machine), with room for the program itself.
const MEMORY_LIMIT_KIB: u64 = 64 * 1024 + 24 * 1024;

pub(crate) fn trials() -> Vec<Trial> {
    let on_it = |name: &str, test: fn(Carrier)| {
        trial(&format!("carry::{name}"), move || {
            test(Carrier::VirtioSerial);
        })
    };
    let mut trials = vec![
        on_it("a_quarter_of_a_gibibyte_down", |carrier| {
            down(carrier, QUARTER);
        }),
        on_it("a_quarter_up_and_back_with_its_checksum", |carrier| {
            up_and_back(carrier, QUARTER);
        }),
        on_it("two_thousand_streams_of_which_fifty_stall", many),
        on_it("a_client_killed_in_mid_stream_frees_both_ends", killed),
        on_it("hijacked_attach_with_half_close", attach),
    ];
    trials.extend(for_full(vec![
        on_it("a_gibibyte_down", |carrier| down(carrier, GIB)),
        on_it("a_gibibyte_up_and_back_with_its_checksum", |carrier| {
            up_and_back(carrier, GIB);
        }),
    ]));
    trials
}

/// Over a vsock, on a machine of its own, and what happens when its device dies. No bulk: the program that carries it
/// stands still there (docs/architecture.md).
pub(crate) fn over_vsock() -> Vec<Trial> {
    let mut trials = vec![
        trial("carry_vsock::it_is_the_carrier_in_use", || {
            shared::over(Carrier::Vsock, |home, _| {
                assert_eq!(
                    carriers_that_won(home).last().map(String::as_str),
                    Some("vsock")
                );
            });
        }),
        trial("carry_vsock::hijacked_attach_with_half_close", || {
            attach(Carrier::Vsock);
        }),
    ];
    trials.extend(for_full(vec![trial(
        "carry_vsock::a_supervisor_that_takes_over_finds_it_again",
        || taken_over(Carrier::Vsock),
    )]));
    trials.push(trial(
        "carry_vsock::the_loss_of_its_device_is_no_loss_of_the_machine",
        || device_killed(Carrier::Vsock),
    ));
    trials.push(trial("carry_vsock::nothing_is_left_of_it", || {
        shared::dispose(Carrier::Vsock).expect("nothing is left");
    }));
    trials
}

/// The carriers of the link's events, in their order.
fn carriers_that_won(home: &Home) -> Vec<String> {
    let text = home.machine(&["events", "--format", "json", NAME], SOON);
    let text = text.succeeded();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"));
    events
        .filter(|event| event["event"] == "link-up")
        .map(|event| event["carrier"].as_str().expect("a name").to_owned())
        .collect()
}

/// The number of the one process of this home whose command line has `word`.
fn process(home: &Home, word: &str) -> rustix::process::Pid {
    let line = home
        .processes()
        .into_iter()
        .find(|line| line.contains(word))
        .expect("the process runs");
    let number = line
        .split(' ')
        .next()
        .expect("a line begins with the number");
    let number = number.parse().expect("a number");
    rustix::process::Pid::from_raw(number).expect("a process has a number")
}

fn kill(process: rustix::process::Pid) {
    rustix::process::kill_process(process, rustix::process::Signal::KILL)
        .expect("the process can be killed");
}

fn taken_over(carrier: Carrier) {
    shared::over(carrier, |home, socket| {
        let before = carriers_that_won(home).len();
        kill(process(home, "supervise"));
        home.machine(&["start", NAME], BOOT).succeeded();
        eventually("vsock is used again", BOOT, || {
            let won = carriers_that_won(home);
            won.get(before..)?
                .last()
                .filter(|last| *last == "vsock")
                .map(drop)
        });
        assert!(api::answers(socket));
    });
}

fn device_killed(carrier: Carrier) {
    shared::over(carrier, |home, socket| {
        let before = carriers_that_won(home).len();
        let mut open = tunnel(home, Target::Echo);
        open.write_all(b"over vsock").expect("the echo reads");
        kill(process(home, "vhost-device-vsock --guest-cid"));
        eventually("virtio-serial takes over", Duration::from_secs(20), || {
            (carriers_that_won(home).get(before..)? == ["virtio-serial"]).then_some(())
        });
        assert!(api::answers(socket));
        assert_eq!(home.state(NAME), "running");
        // What was open over it ends.
        let mut rest = Vec::new();
        let _ = open.read_to_end(&mut rest);
        no_streams_left(home);
        eventually("the user is told", SOON, || {
            let text = home.machine(&["events", NAME], SOON).succeeded();
            text.contains("has vsock again after its next start")
                .then_some(())
        });
        home.machine(&["stop", NAME], BOOT).succeeded();
        assert_eq!(home.processes(), [] as [String; 0]);
        let sockets = home.machine_dir(NAME);
        let left = fs_err::read_dir(sockets).expect("the machine is there");
        let left: Vec<_> = left
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(".sock") || name == "vm.json")
            .collect();
        assert_eq!(left, [] as [String; 0]);
    });
}

fn tunnel(home: &Home, target: Target) -> UnixStream {
    let (stream, reply) = ask(
        home,
        &Request::Tunnel {
            protocol: NEWEST,
            target,
        },
    );
    assert_eq!(reply, Reply::Joined);
    stream
}

/// Sends the supervisor a request and reads the first reply.
fn ask(home: &Home, request: &Request) -> (UnixStream, Reply) {
    let socket = home.machine_dir(NAME).join("control.sock");
    let mut stream = api::connect(&socket).expect("the supervisor listens");
    serde_json::from_slice::<Greeting>(&line(&mut stream)).expect("a greeting");
    stream
        .write_all(&control::line(request))
        .expect("a request can be sent");
    let reply = serde_json::from_slice(&line(&mut stream)).expect("a reply");
    (stream, reply)
}

/// One line, byte by byte: what follows it may belong to a tunnel.
fn line(stream: &mut UnixStream) -> Vec<u8> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        stream.read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    line
}

/// Bytes that no accident repeats: the position is in them.
fn pattern(at: u64, buffer: &mut [u8]) {
    for (offset, chunk) in buffer.chunks_mut(8).enumerate() {
        let value = (at / 8 + offset as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes();
        chunk.copy_from_slice(&value[..chunk.len()]);
    }
}

fn down(carrier: Carrier, bytes: u64) {
    shared::over(carrier, |home, _| {
        let mut stream = tunnel(home, Target::Source { bytes });
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            let read = stream.read(&mut buffer).expect("the source goes on");
            if read == 0 {
                break;
            }
            total += read as u64;
        }
        assert_eq!(total, bytes);
        memory_is_bounded(home);
    });
}

fn up_and_back(carrier: Carrier, bytes: u64) {
    shared::over(carrier, |home, _| {
        let mut up = tunnel(home, Target::Echo);
        let mut down = up.try_clone().expect("a socket can be cloned");
        let writer = std::thread::spawn(move || {
            let mut digest = Sha256::new();
            let mut buffer = vec![0; 1 << 20];
            for block in 0..bytes >> 20 {
                pattern(block << 20, &mut buffer);
                digest.update(&buffer);
                up.write_all(&buffer).expect("the echo reads");
            }
            up.shutdown(std::net::Shutdown::Write)
                .expect("the half can be closed");
            digest.finalize()
        });
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            let read = down.read(&mut buffer).expect("the echo answers");
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            total += read as u64;
        }
        assert_eq!(total, bytes, "nothing is cut off by the half-close");
        assert_eq!(
            digest.finalize(),
            writer.join().expect("the writer does not panic")
        );
        memory_is_bounded(home);
    });
}

fn attach(carrier: Carrier) {
    shared::over(carrier, |home, socket| {
        let name = "attached";
        run(
            podman(home, socket).args(["create", "-i", "--name", name, IMAGE, "sha256sum"]),
            b"",
            BOOT,
        )
        .succeeded();
        let mut stream = api::connect(socket).expect("the API socket is open");
        let request = format!(
            "POST /v1.41/containers/{name}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .expect("a request can be sent");
        let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        assert!(line.contains("101"), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("a header");
        }
        run(podman(home, socket).args(["start", name]), b"", BOOT).succeeded();
        stream.write_all(b"hello").expect("the container reads");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("the half can be closed");
        let mut output = Vec::new();
        reader
            .read_to_end(&mut output)
            .expect("the container answers");
        let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert!(
            String::from_utf8_lossy(&output).contains(digest),
            "{output:?}"
        );
        run(
            podman(home, socket).args(["rm", "--force", "--time", "0", name]),
            b"",
            BOOT,
        )
        .succeeded();
    });
}

fn many(carrier: Carrier) {
    shared::over(carrier, |home, socket| {
        let stalled: Vec<UnixStream> = (0..50)
            .map(|_| tunnel(home, Target::Source { bytes: GIB }))
            .collect();
        let mut open: Vec<UnixStream> = (0..1950).map(|_| tunnel(home, Target::Echo)).collect();
        for (number, stream) in open.iter_mut().enumerate() {
            stream
                .write_all(&(number as u64).to_le_bytes())
                .expect("the echo reads");
        }
        for (number, stream) in open.iter_mut().enumerate() {
            let mut back = [0; 8];
            stream
                .read_exact(&mut back)
                .expect("the echo answers beside stalled readers");
            assert_eq!(u64::from_le_bytes(back), number as u64);
        }
        assert!(
            api::answers(socket),
            "the engine answers beside 2,000 streams"
        );
        memory_is_bounded(home);
        drop((stalled, open));
        no_streams_left(home);
    });
}

fn killed(carrier: Carrier) {
    shared::over(carrier, |home, socket| {
        let mut upload = begin(
            podman(home, socket).args([
                "run",
                "--rm",
                "-i",
                "--name",
                "victim",
                IMAGE,
                "sh",
                "-c",
                "echo started; sleep 1000",
            ]),
            b"",
        );
        eventually("the container runs", BOOT, || {
            let text = run(
                podman(home, socket).args(["ps", "--format", "{{.Names}}"]),
                b"",
                BOOT,
            )
            .succeeded();
            text.contains("victim").then_some(())
        });
        upload.child.kill().expect("a child can be killed");
        upload.child.wait().expect("a child can be waited for");
        no_streams_left(home);
        run(
            podman(home, socket).args(["rm", "--force", "--time", "0", "--ignore", "victim"]),
            b"",
            BOOT,
        )
        .succeeded();
    });
}

/// Both ends count their streams; only the agent's report stream may be left.
fn no_streams_left(home: &Home) {
    eventually(
        "all streams are freed at both ends",
        Duration::from_secs(30),
        || {
            let (_, reply) = ask(home, &Request::Statistics { protocol: NEWEST });
            let Reply::Statistics { streams: host, .. } = reply else {
                panic!("{reply:?}")
            };
            // The report stream, and at the guest the one that asks this question.
            (host <= 1 && guest_statistics(home).0 <= 2).then_some(())
        },
    );
}

fn memory_is_bounded(home: &Home) {
    let (_, guest) = guest_statistics(home);
    assert!(guest < MEMORY_LIMIT_KIB, "the agent holds {guest} KiB");
    let host = resident(home, "supervise");
    assert!(host < MEMORY_LIMIT_KIB, "the supervisor holds {host} KiB");
}

/// The agent's open streams and its resident memory in KiB.
fn guest_statistics(home: &Home) -> (u64, u64) {
    let mut stream = tunnel(home, Target::AgentControl);
    stream
        .write_all(&message::to_line(&AgentRequest::Statistics).expect("a request is a line"))
        .expect("the agent reads");
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("the half can be closed");
    match serde_json::from_slice(&line(&mut stream)).expect("the agent answers") {
        AgentReply::Statistics {
            streams,
            resident_kib,
            ..
        } => (streams, resident_kib),
        other => panic!("{other:?}"),
    }
}

/// The resident memory of the one process of this home whose command line has `word`, in KiB.
fn resident(home: &Home, word: &str) -> u64 {
    let pid = process(home, word).as_raw_nonzero().to_string();
    let status = fs_err::read_to_string(Path::new("/proc").join(pid).join("status"))
        .expect("the process runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a size");
    line.split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number")
}
