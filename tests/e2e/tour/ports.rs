//! Ports that containers publish, as a user on the host meets them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use libtest_mimic::Trial;

use super::guest::as_root;
use super::{Engine, each, ended, rootless};
use crate::support::command::eventually;
use crate::support::home::{BOOT, SOON};
use crate::support::shared::{IMAGE, NAME};

/// An echo at port 7, which knows the end of what it is sent, and files at port 80, one of them large.
const SERVER: &str = "mkdir /w; echo a word >/w/word; dd if=/dev/zero of=/w/large bs=1M count=4 2>/dev/null; \
                      nc -ll -p 7 -e cat & exec httpd -f -p 80 -h /w";
const LARGE: usize = 4 << 20;

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = each("ports_are_the_hosts_while_their_container_runs", published);
    trials.extend(each(
        "ports_that_cannot_be_had_fail_the_run_and_leave_nothing",
        refused,
    ));
    trials.push(rootless(
        "ports_of_the_configuration_lead_to_the_guest",
        configured,
    ));
    trials.push(rootless(
        "servers_of_the_guest_are_ports_where_the_machine_is_set_so",
        forwarded,
    ));
    trials.push(rootless(
        "ports_serve_two_hundred_clients_and_a_slow_one",
        many,
    ));
    trials.push(rootless("ports_hold_two_thousand_connections", crowd));
    trials
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    probe.local_addr().expect("it is bound").port()
}

/// One for datagrams, of those that no client gets from a kernel.
fn free_datagram_port() -> u16 {
    let mut ports = 20000..30000;
    let port = ports.find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok());
    port.expect("a port is free")
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let address: SocketAddr = address.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&address, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// What comes back to these bytes and their end; nothing where nobody answers.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Waits until the server inside has begun to listen: the host's port is open before.
fn answers(address: &str, bytes: &[u8], expected: &[u8]) {
    eventually(address, SOON, || {
        let answer = exchange(address, bytes).unwrap_or_default();
        answer.ends_with(expected).then_some(())
    });
}

fn is_closed(address: &str) -> bool {
    let stream = connect(address);
    stream.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn run_server(engine: &Engine<'_>, name: &str, ports: &[&str]) {
    let run = ["run", "--detach", "--name", name];
    let command = [IMAGE, "sh", "-c", SERVER];
    engine.podman_says(&[&run[..], ports, &command].concat());
}

fn published(engine: &Engine<'_>) {
    let (all, one) = (free_port(), free_port());
    let ports = [format!("{all}:7"), format!("127.0.0.1:{one}:80")];
    let udp = format!("{all}:9/udp");
    run_server(
        engine,
        "published",
        &["-p", &ports[0], "-p", &ports[1], "-p", &udp],
    );
    // Open since the command returned, whatever the server is doing.
    let v4 = format!("127.0.0.1:{all}");
    assert!(connect(&v4).is_ok());
    let v6 = format!("[::1]:{all}");
    let local = format!("127.0.0.1:{one}");
    answers(&v4, b"to the end", b"to the end");
    answers(&v6, b"of IPv6 too", b"of IPv6 too");
    answers(&local, b"GET /word HTTP/1.0\r\n\r\n", b"a word\n");
    assert!(
        is_closed(&format!("[::1]:{one}")),
        "one address is asked for"
    );
    assert!(is_closed(&format!("127.0.0.2:{one}")));

    datagrams(engine);

    // A second container with a number of the first, at another address of the host.
    let clash = format!("127.0.0.2:{one}:80");
    let ended = ended(
        engine
            .docker()
            .args(["run", "--detach", "-p", &clash, IMAGE, "true"]),
    );
    assert!(!ended.status.success());
    // Root's engine binds in the guest before it asks for the host's port, and says this much itself.
    let mut words = vec!["address already in use"];
    if !engine.rootful {
        words.push("can be bound once, for all addresses");
    }
    for words in words {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    answers(&local, b"GET /word HTTP/1.0\r\n\r\n", b"a word\n");

    let format = "{{.Protocol}} {{.Address}} {{.Port}} {{.GuestPort}} {{.Owner}} {{.State}}";
    let list = || {
        let list = ["port", "list", "--format", format, NAME];
        engine.home.machine(&list, SOON).succeeded()
    };
    let listed = list();
    for line in [
        format!("tcp 0.0.0.0 {all} {all} container open\n"),
        format!("udp 0.0.0.0 {all} {all} container open\n"),
        format!("tcp 127.0.0.1 {one} {one} container open\n"),
    ] {
        assert!(listed.contains(&line), "{line}: {listed}");
    }
    engine.podman_says(&["rm", "--force", "--time", "0", "published"]);
    assert_eq!(list(), "");
    for address in [v4, v6, local] {
        assert!(is_closed(&address), "{address} is open still");
    }
    let events = engine.home.machine(&["events", NAME], SOON).succeeded();
    for words in ["leads to the guest", "leads to the guest no more"] {
        let line = format!("tcp port {one} at 127.0.0.1 {words}");
        assert!(events.contains(&line), "{line}: {events}");
    }
}

/// The guest's own server in a container, whose image has none for datagrams.
fn datagrams(engine: &Engine<'_>) {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:9/udp");
    let run = ["run", "--detach", "--name", "datagrams", "-p", &publish];
    let programs = [
        "--volume=/usr:/usr:ro",
        "--volume=/usr/lib:/lib:ro",
        "--volume=/usr/lib64:/lib64:ro",
    ];
    let server = [
        IMAGE,
        "/usr/bin/socat",
        "UDP-RECVFROM:9,fork",
        "EXEC:/usr/bin/cat",
    ];
    engine.podman_says(&[&run[..], &programs, &server].concat());
    echoed(port);
    engine.podman_says(&["rm", "--force", "--time", "0", "datagrams"]);
}

/// Waits until a datagram comes back.
fn echoed(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(("127.0.0.1", port)).expect("an address");
    let pause = Duration::from_millis(500);
    socket.set_read_timeout(Some(pause)).expect("a time");
    let mut answer = [0; 16];
    eventually("a datagram comes back", SOON, || {
        // It may be lost while the server begins.
        socket.send(b"datagram").ok()?;
        let length = socket.recv(&mut answer).ok()?;
        (&answer[..length] == b"datagram").then_some(())
    });
}

fn refused(engine: &Engine<'_>) {
    // The middle of a range is somebody else's.
    let (first, holder) = range_with_a_hole();
    let range = format!("{first}-{}:1-3", first + 2);
    // Docker's client attaches before it starts, and shows nothing of an answer to that.
    let run = ["run", "--detach", "-p", &range, IMAGE, "true"];
    let (mut client, code) = if engine.rootful {
        (engine.docker(), 125)
    } else {
        (engine.podman(), 126)
    };
    let ended = ended(client.args(run));
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    let words = format!(
        "address already in use by `e2e` (process {})",
        std::process::id()
    );
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    for port in [first, first + 2] {
        assert!(is_closed(&format!("127.0.0.1:{port}")), "{port} stays open");
    }
    drop(holder);
    let error = refusal(engine, "192.0.2.77:5000:80");
    assert!(
        error.contains("this host does not have the address 192.0.2.77"),
        "{error}"
    );
    // What failed is forgotten, and the same can be had now.
    engine.podman_says(&["run", "--rm", "-p", &range, IMAGE, "true"]);
    for port in first..first + 3 {
        assert!(is_closed(&format!("127.0.0.1:{port}")), "{port} stays open");
    }
    assert_eq!(ports_in_guest(engine), "[]", "and the guest knows of none");
    if engine.rootful {
        low_port(engine);
    }
}

/// What `podman run` says of a port that cannot be had.
fn refusal(engine: &Engine<'_>, port: &str) -> String {
    let ended = ended(
        engine
            .podman()
            .args(["run", "--detach", "-p", port, IMAGE, "true"]),
    );
    assert_eq!(ended.status.code(), Some(126), "{}", ended.stderr);
    ended.stderr
}

/// What the guest's own service lists.
fn ports_in_guest(engine: &Engine<'_>) -> String {
    as_root(
        engine,
        "curl -sS http://gateway.containers.internal/services/forwarder/all",
    )
}

/// Port 80 of the guest belongs to containers, though the service answers at that number: with a server on it, it still
/// does. What the host says of its own port 80 depends on who runs this.
fn low_port(engine: &Engine<'_>) {
    let server = ["run", "--detach", "--name", "low", "--network", "host"];
    engine.podman_says(&[&server[..], &[IMAGE, "httpd", "-f", "-p", "80"]].concat());
    assert_eq!(ports_in_guest(engine), "[]");
    engine.podman_says(&["rm", "--force", "--time", "0", "low"]);
    let run = ["run", "--detach", "--name", "low", "-p", "127.0.0.1:80:80"];
    let ended = ended(engine.podman().args(run).args([IMAGE, "sh", "-c", SERVER]));
    if ended.status.success() {
        answers("127.0.0.1:80", b"GET /word HTTP/1.0\r\n\r\n", b"a word\n");
    } else {
        for words in [
            "permission denied",
            "net.ipv4.ip_unprivileged_port_start=80",
        ] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
        assert!(is_closed("127.0.0.1:80"));
    }
    assert_ne!(ports_in_guest(engine), "");
    engine.podman_says(&["rm", "--force", "--time", "0", "low"]);
}

/// Three ports of which the second is taken at all addresses.
fn range_with_a_hole() -> (u16, TcpListener) {
    loop {
        let holder = TcpListener::bind("0.0.0.0:0").expect("a port is free");
        let middle = holder.local_addr().expect("it is bound").port();
        let beside = [middle - 1, middle + 1].map(|port| TcpListener::bind(("0.0.0.0", port)));
        if beside.iter().all(Result::is_ok) {
            return (middle - 1, holder);
        }
    }
}

/// A server of the guest that sends datagrams back, and one of TCP.
fn configured(engine: &Engine<'_>) {
    as_root(
        engine,
        "systemd-run --quiet --unit e2e-udp socat UDP-RECVFROM:4007,fork EXEC:cat\n\
         systemd-run --quiet --unit e2e-tcp socat TCP6-LISTEN:4008,bind=[::1],fork,reuseaddr EXEC:cat",
    );
    let machine = |words: &[&str]| engine.home.machine(&[&["port"], words].concat(), SOON);
    let (udp, tcp) = (free_port(), free_port());
    let (udp_port, tcp_port) = (format!("127.0.0.1:{udp}:4007/udp"), format!("{tcp}:4008"));
    for port in [&udp_port, &tcp_port] {
        machine(&["add", port, NAME]).succeeded();
    }
    answers(
        &format!("127.0.0.1:{tcp}"),
        b"of IPv6 inside",
        b"of IPv6 inside",
    );
    echoed(udp);

    let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = holder.local_addr().expect("it is bound").port();
    let error = machine(&["add", &format!("127.0.0.1:{taken}:22"), NAME]).failed();
    assert!(error.contains("address already in use by `e2e`"), "{error}");
    let listed = machine(&["list", NAME]).succeeded();
    assert!(
        !listed.contains(&taken.to_string()),
        "it is not kept: {listed}"
    );
    assert_eq!(listed.matches("configured  open").count(), 2, "{listed}");
    // A container cannot have it either.
    let error = refusal(engine, &format!("{tcp}:1"));
    assert!(
        error.contains("address already in use by `machine port`"),
        "{error}"
    );

    for port in [&udp_port, &tcp_port] {
        machine(&["rm", port, NAME]).succeeded();
    }
    assert!(is_closed(&format!("127.0.0.1:{tcp}")));
    assert_eq!(machine(&["list", "--noheading", NAME]).succeeded(), "");
    as_root(engine, "systemctl stop e2e-udp e2e-tcp");
}

/// A server of a container in the guest's own network, one of the guest itself, and one that is published.
fn forwarded(engine: &Engine<'_>) {
    let (host, guest, published, late) = (free_port(), free_port(), free_port(), free_port());
    let run_on_guest = |name: &str, port: u16| {
        let server = format!("nc -ll -p {port} -e cat");
        let run = ["run", "--detach", "--name", name, "--network", "host"];
        engine.podman_says(&[&run[..], &[IMAGE, "sh", "-c", &server]].concat());
    };
    run_on_guest("on-guest", host);
    as_root(
        engine,
        &format!(
            "systemd-run --quiet --unit e2e-server socat TCP-LISTEN:{guest},bind=127.0.0.1,fork,reuseaddr EXEC:cat"
        ),
    );
    let datagrams = free_datagram_port();
    as_root(
        engine,
        &format!(
            "systemd-run --quiet --unit e2e-datagrams socat UDP4-RECVFROM:{datagrams},fork EXEC:cat"
        ),
    );
    run_server(engine, "has-port", &["-p", &format!("{published}:7")]);
    let at = |port: u16| format!("127.0.0.1:{port}");
    answers(&at(published), b"published", b"published");
    for port in [host, guest] {
        assert!(is_closed(&at(port)), "not unless it is asked for");
    }

    let set = |on: bool| {
        let flag = format!("--forward-listeners={on}");
        engine.home.machine(&["set", &flag, NAME], SOON).succeeded();
    };
    set(true);
    for port in [host, guest] {
        answers(&at(port), b"of the guest", b"of the guest");
        answers(&format!("[::1]:{port}"), b"of the guest", b"of the guest");
        assert!(is_closed(&format!("127.0.0.2:{port}")), "loopback alone");
    }
    echoed(datagrams);
    let format = "{{.Address}} {{.Port}} {{.Owner}} {{.State}}";
    let list = || {
        let list = ["port", "list", "--format", format, NAME];
        engine.home.machine(&list, SOON).succeeded()
    };
    let listed = list();
    for line in [
        format!("127.0.0.1 {host} listener open\n"),
        format!("127.0.0.1 {guest} listener open\n"),
        format!("127.0.0.1 {datagrams} listener open\n"),
        format!("0.0.0.0 {published} container open\n"),
    ] {
        assert!(listed.contains(&line), "{line}: {listed}");
    }
    assert_eq!(
        listed.matches(&published.to_string()).count(),
        1,
        "{listed}"
    );
    assert!(!listed.contains(" 22 "), "SSH is not among them: {listed}");

    // One that begins later, and one that ends.
    run_on_guest("late", late);
    answers(&at(late), b"late", b"late");
    as_root(engine, "systemctl stop e2e-datagrams");
    eventually("the port for datagrams is free again", SOON, || {
        UdpSocket::bind(("127.0.0.1", datagrams)).ok()
    });
    engine.podman_says(&["rm", "--force", "--time", "0", "on-guest"]);
    eventually("the port of a server that ended is closed", SOON, || {
        is_closed(&at(host)).then_some(())
    });
    // The port is a container's that publishes it.
    run_server(engine, "takes-port", &["-p", &format!("{host}:7")]);
    answers(&at(host), b"published", b"published");
    assert!(list().contains(&format!("0.0.0.0 {host} container open\n")));

    set(false);
    for port in [guest, late] {
        assert!(is_closed(&at(port)), "it is off: {}", list());
    }
    answers(&at(published), b"published", b"published");
    assert!(!list().contains("listener"));
    as_root(engine, "systemctl stop e2e-server");
    for name in ["late", "has-port", "takes-port"] {
        engine.podman_says(&["rm", "--force", "--time", "0", name]);
    }
}

fn many(engine: &Engine<'_>) {
    let (echo, files) = (free_port(), free_port());
    let ports = [format!("{echo}:7"), format!("{files}:80")];
    run_server(engine, "many", &["-p", &ports[0], "-p", &ports[1]]);
    let (echo, files) = (format!("127.0.0.1:{echo}"), format!("127.0.0.1:{files}"));
    answers(&files, b"GET /word HTTP/1.0\r\n\r\n", b"a word\n");
    answers(&echo, b"ready", b"ready");

    // One that does not read is in nobody's way, and gets all of it in the end.
    let mut slow = connect(&files).expect("it is open");
    slow.write_all(b"GET /large HTTP/1.0\r\n\r\n")
        .expect("it is taken");
    let large = exchange(&files, b"GET /large HTTP/1.0\r\n\r\n").expect("all of it comes");
    assert!(large.len() > LARGE, "{} bytes", large.len());
    std::thread::scope(|scope| {
        let client = |number: usize| {
            let files = &files;
            move || {
                for _ in 0..20 {
                    let answer = exchange(files, b"GET /word HTTP/1.0\r\n\r\n");
                    let answer = answer.unwrap_or_else(|error| panic!("client {number}: {error}"));
                    assert!(answer.ends_with(b"a word\n"), "client {number}");
                }
            }
        };
        let clients: Vec<_> = (0..10).map(|number| scope.spawn(client(number))).collect();
        for client in clients {
            client.join().expect("a client got its answers");
        }
    });
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("all of it comes");
    assert!(rest.len() > LARGE, "{} bytes", rest.len());

    // One that goes away takes nothing with it.
    let gone = connect(&echo).expect("it is open");
    drop(gone);
    answers(&echo, b"still", b"still");
    engine.podman_says(&["rm", "--force", "--time", "0", "many"]);
    let listed = || {
        as_root(
            engine,
            "ss -Htn state established '( dport = :80 )' | wc -l",
        )
    };
    eventually(
        "the guest has no connection left",
        Duration::from_secs(10),
        || (listed() == "0").then_some(()),
    );
}

/// A server that is too busy to take anybody: the guest's kernel holds its clients, until it is ended.
fn crowd(engine: &Engine<'_>) {
    const CLIENTS: usize = 2_000;
    as_root(
        engine,
        "systemd-run --quiet --unit e2e-busy --socket-property=ListenStream=4010 --socket-property=Backlog=4096 \
         --property=KillMode=control-group sleep infinity",
    );
    let port = free_port();
    let forward = format!("127.0.0.1:{port}:4010");
    let machine = |words: &[&str]| engine.home.machine(&[&["port"], words].concat(), SOON);
    machine(&["add", &forward, NAME]).succeeded();
    let address = format!("127.0.0.1:{port}");
    let mut clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|number| {
            let mut client =
                connect(&address).unwrap_or_else(|error| panic!("client {number}: {error}"));
            client.write_all(b"here").expect("it is taken");
            client
        })
        .collect();
    let inside = || {
        as_root(
            engine,
            "ss -Htn state established '( sport = :4010 )' | wc -l",
        )
    };
    eventually("all of them are in the guest", BOOT, || {
        (inside() == CLIENTS.to_string()).then_some(())
    });
    // Others are served beside them.
    engine.podman_says(&["version"]);
    as_root(engine, "systemctl stop e2e-busy.socket e2e-busy.service");
    for (number, client) in clients.iter_mut().enumerate() {
        let mut rest = Vec::new();
        match client.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b"", "client {number}"),
            Err(error) => assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "client {number}"
            ),
        }
    }
    machine(&["rm", &forward, NAME]).succeeded();
}
