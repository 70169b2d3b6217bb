//! Programs that the agent runs, as the host sees them.

use std::os::unix::fs::MetadataExt;

use bytes::{Bytes, BytesMut};
use machine_protocol::exec::{
    Decoder, Exit, Failure, FailureKind, STDIN_WINDOW, Signal, Start, Terminal, ToGuest, ToHost,
    WindowSize, encode,
};
use machine_protocol::link::{RecvHalf, SendHalf};

use super::*;

fn own_uid() -> u32 {
    fs_err::metadata("/proc/self").unwrap().uid()
}

/// An agent with two users: `core`, whom it can become, and `root`.
struct Bench {
    guest: StubGuest,
    _agent: Child,
    host: Host,
    uid: u32,
}

impl Bench {
    async fn new() -> Self {
        let guest = StubGuest::new(true);
        let own = own_uid();
        let uid = if own == 0 { 1000 } else { own };
        let users = format!(
            "root:x:0:0::/:/bin/sh\ncore:x:{uid}:{uid}::/tmp:/bin/sh\nlost:x:{uid}:{uid}::/nowhere:/bin/sh\n"
        );
        fs_err::create_dir_all(guest.path("etc")).unwrap();
        fs_err::write(guest.path("etc/passwd"), users).unwrap();
        fs_err::write(
            guest.path("etc/group"),
            "one:x:4321:core\ntwo:x:4322:lost,core\n",
        )
        .unwrap();
        let agent = guest.start();
        let host = guest.host().await;
        Self {
            guest,
            _agent: agent,
            host,
            uid,
        }
    }

    fn open(&self, words: &[&str], start: &Start) -> Talk {
        let (from, to) = self.host.link.open(&Target::Exec).unwrap().into_split();
        let mut talk = Talk {
            from,
            to,
            decoder: Decoder::default(),
            order: BytesMut::new(),
        };
        for word in words {
            encode(
                &ToGuest::Argument((*word).to_owned().into()),
                &mut talk.order,
            )
            .unwrap();
        }
        encode(&ToGuest::Start(start.clone()), &mut talk.order).unwrap();
        talk
    }

    /// Runs a program to its end with this input.
    async fn run(&self, words: &[&str], start: &Start, input: &[u8]) -> Ran {
        let mut talk = self.open(words, start);
        talk.begin().await;
        if input.len() <= STDIN_WINDOW as usize {
            if !input.is_empty() {
                talk.say(&ToGuest::Stdin(input.to_vec().into())).await;
            }
            talk.say(&ToGuest::StdinEnd).await;
        }
        talk.rest().await
    }

    async fn sh(&self, script: &str) -> Ran {
        self.run(&["sh", "-c", script], &Start::default(), b"")
            .await
    }
}

struct Talk {
    from: RecvHalf,
    to: SendHalf,
    decoder: Decoder<ToHost>,
    order: BytesMut,
}

/// What became of a program.
#[derive(Debug, Default)]
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
    failure: Option<Failure>,
}

impl Ran {
    #[track_caller]
    fn code(&self, code: u8) -> String {
        assert_eq!(self.exit, Some(Exit::Code(code)), "{self:?}");
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

impl Talk {
    async fn begin(&mut self) {
        let order = self.order.split();
        soon(self.to.write_all(&order)).await.unwrap();
    }

    async fn say(&mut self, message: &ToGuest) {
        let mut frame = BytesMut::new();
        encode(message, &mut frame).unwrap();
        // The program may have ended before.
        let _ = soon(self.to.write_all(&frame)).await;
    }

    async fn hear(&mut self) -> Result<Option<ToHost>, StreamError> {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return Ok(Some(message));
            }
            let Some(bytes) = soon(self.from.read()).await? else {
                self.decoder.end().unwrap();
                return Ok(None);
            };
            self.decoder.push(&bytes);
        }
    }

    /// Output up to and with this text.
    async fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            match self.hear().await.unwrap() {
                Some(ToHost::Stdout(bytes)) => seen.push_str(str::from_utf8(&bytes).unwrap()),
                Some(ToHost::Started | ToHost::StdinCredit(_)) => {}
                other => panic!("{other:?} after {seen:?}"),
            }
        }
        seen
    }

    async fn rest(mut self) -> Ran {
        let mut ran = Ran::default();
        while let Some(message) = self.hear().await.unwrap() {
            assert!(
                ran.exit.is_none() && ran.failure.is_none(),
                "{message:?} after the end"
            );
            match message {
                ToHost::Stdout(bytes) => ran.stdout.extend_from_slice(&bytes),
                ToHost::Stderr(bytes) => ran.stderr.extend_from_slice(&bytes),
                ToHost::Exit(exit) => ran.exit = Some(exit),
                ToHost::Failed(failure) => ran.failure = Some(failure),
                ToHost::Started | ToHost::StdinCredit(_) | ToHost::StdinClosed => {}
            }
        }
        ran
    }
}

fn terminal(rows: u16, columns: u16) -> Start {
    Start {
        terminal: Some(Terminal {
            kind: "xterm".to_owned(),
            size: WindowSize { rows, columns },
        }),
        ..Start::default()
    }
}

fn directory(path: &str) -> Start {
    Start {
        directory: Some(path.to_owned()),
        ..Start::default()
    }
}

fn user(name: &str) -> Start {
    Start {
        user: Some(name.to_owned()),
        ..Start::default()
    }
}

#[tokio::test]
async fn codes_signals_and_output() {
    let bench = Bench::new().await;
    let ran = bench.sh("echo out; echo err >&2; exit 3").await;
    assert_eq!(ran.code(3), "out\n");
    assert_eq!(ran.stderr, b"err\n");
    assert_eq!(bench.sh("kill -9 $$").await.exit, Some(Exit::Signal(9)));
    assert_eq!(bench.sh("exit 255").await.exit, Some(Exit::Code(255)));
    let ran = bench
        .run(&["printf", "%s|", "a b", "", "ü*"], &Start::default(), b"")
        .await;
    assert_eq!(ran.code(0), "a b||ü*|");
}

#[tokio::test]
async fn who_where_and_with_what() {
    let bench = Bench::new().await;
    let ran = bench.sh("id -u; pwd; echo $HOME $USER $SHELL; ulimit -Sn; cat /proc/self/oom_score_adj; test -z \"$CARGO\" && tty").await;
    assert_eq!(
        ran.code(1),
        format!(
            "{}\n/tmp\n/tmp core /bin/sh\n1024\n0\nnot a tty\n",
            bench.uid
        )
    );
    if own_uid() == 0 {
        assert_eq!(bench.sh("id -G").await.code(0), "1000 4321 4322\n");
        let ran = bench.run(&["id", "-u"], &user("root"), b"").await;
        assert_eq!(ran.code(0), "0\n");
    }
    let lost = bench.run(&["pwd"], &user("lost"), b"").await;
    assert_eq!(lost.code(0), "/\n", "without a home");
    assert_eq!(
        bench.run(&["pwd"], &directory("/usr"), b"").await.code(0),
        "/usr\n"
    );
    let mut talk = bench.open(&[], &Start::default());
    let mut variable = BytesMut::new();
    encode(&ToGuest::Variable("A=b=c".into()), &mut variable).unwrap();
    variable.extend_from_slice(&talk.order);
    talk.order = variable;
    talk.begin().await;
    talk.say(&ToGuest::Stdin("echo $A $0; exit 7\n".into()))
        .await;
    assert_eq!(talk.rest().await.code(7), "b=c -sh\n", "the login shell");
}

#[tokio::test]
async fn what_cannot_be_run() {
    let bench = Bench::new().await;
    let plain = bench.guest.path("plain");
    fs_err::write(&plain, "#!/bin/sh\n").unwrap();
    let plain = plain.to_str().unwrap();
    for (words, start, kind, reason) in [
        (
            &["no-such-program"][..],
            Start::default(),
            FailureKind::NotFound,
            "The guest has no program `no-such-program`",
        ),
        (
            &["/nowhere/x"],
            Start::default(),
            FailureKind::NotFound,
            "The guest has no program `/nowhere/x`",
        ),
        (
            &[""],
            Start::default(),
            FailureKind::NotFound,
            "The guest has no program ``",
        ),
        (
            &[plain],
            user("core"),
            FailureKind::NotExecutable,
            "cannot be executed: Permission denied",
        ),
        (
            &["/"],
            Start::default(),
            FailureKind::NotExecutable,
            "`/` in the guest cannot be executed",
        ),
        (
            &["true"],
            user("nobody-of-that-name"),
            FailureKind::NoSuchUser,
            "The guest has no user `nobody-of-that-name`",
        ),
        (
            &["true"],
            directory("/nowhere"),
            FailureKind::Other,
            "`/nowhere` in the guest cannot be entered: No such file or directory",
        ),
    ] {
        let ran = bench.run(words, &start, b"").await;
        let failure = ran
            .failure
            .unwrap_or_else(|| panic!("{words:?}: {:?}", ran.exit));
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.reason.contains(reason), "{failure:?}");
    }
}

#[tokio::test]
async fn input_ends_by_itself() {
    let bench = Bench::new().await;
    assert_eq!(
        bench
            .run(&["cat"], &Start::default(), b"hello")
            .await
            .code(0),
        "hello"
    );
    // The end of the host's direction is the end of the input too.
    let mut talk = bench.open(&["sh", "-c", "cat; echo over"], &Start::default());
    talk.begin().await;
    talk.say(&ToGuest::Stdin("a".into())).await;
    talk.to.finish();
    assert_eq!(talk.rest().await.code(0), "aover\n");
}

#[tokio::test]
async fn ten_megabytes_there_and_back() {
    let bench = Bench::new().await;
    let bytes: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let Talk {
        mut from,
        mut to,
        mut decoder,
        order,
    } = bench.open(&["cat"], &Start::default());
    let credit = std::cell::Cell::new(STDIN_WINDOW as usize);
    let more = Notify::new();
    let sending = async {
        to.write_all(&order).await.unwrap();
        let mut left = &bytes[..];
        while !left.is_empty() {
            while credit.get() == 0 {
                more.notified().await;
            }
            let (part, rest) = left.split_at(credit.get().min(left.len()).min(50_000));
            credit.set(credit.get() - part.len());
            let mut frame = BytesMut::new();
            encode(&ToGuest::Stdin(part.to_vec().into()), &mut frame).unwrap();
            to.write_all(&frame).await.unwrap();
            left = rest;
        }
        let mut frame = BytesMut::new();
        encode(&ToGuest::StdinEnd, &mut frame).unwrap();
        to.write_all(&frame).await.unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        while let Some(bytes) = from.read().await.unwrap() {
            decoder.push(&bytes);
            while let Some(message) = decoder.next_message().unwrap() {
                match message {
                    ToHost::Stdout(bytes) => received.extend_from_slice(&bytes),
                    ToHost::StdinCredit(bytes) => {
                        credit.set(credit.get() + bytes as usize);
                        assert!(credit.get() <= STDIN_WINDOW as usize);
                        more.notify_one();
                    }
                    ToHost::Exit(exit) => assert_eq!(exit, Exit::Code(0)),
                    _ => {}
                }
            }
        }
        received
    };
    let ((), received) = soon(async { tokio::join!(sending, receiving) }).await;
    assert!(received == bytes, "{} bytes came back", received.len());
}

#[tokio::test]
async fn signals_reach_a_program_that_does_not_read() {
    let bench = Bench::new().await;
    let script = "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let mut talk = bench.open(&["sh", "-c", script], &Start::default());
    talk.begin().await;
    talk.until("ready\n").await;
    // The pipe takes as much as the window has; what is sent then stays with the agent.
    let half = Bytes::from(vec![b'x'; STDIN_WINDOW as usize / 2]);
    for _ in 0..2 {
        talk.say(&ToGuest::Stdin(half.clone())).await;
    }
    let mut granted = 0;
    while granted < STDIN_WINDOW {
        match talk.hear().await.unwrap() {
            Some(ToHost::StdinCredit(credit)) => granted += credit,
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..2 {
        talk.say(&ToGuest::Stdin(half.clone())).await;
    }
    talk.say(&ToGuest::Signal(Signal::Interrupt)).await;
    assert_eq!(talk.rest().await.code(5), "got it\n");
}

#[tokio::test]
async fn more_input_than_was_granted_ends_the_program() {
    let bench = Bench::new().await;
    let mut talk = bench.open(&["sleep", "1000"], &Start::default());
    talk.begin().await;
    // As much as the pipe takes, as the window takes, and a byte.
    let half = Bytes::from(vec![b'x'; STDIN_WINDOW as usize / 2]);
    for _ in 0..4 {
        talk.say(&ToGuest::Stdin(half.clone())).await;
    }
    talk.say(&ToGuest::Stdin("x".into())).await;
    while let Ok(Some(_)) = talk.hear().await {}
    assert_eq!(
        talk.from.reset_text().as_deref(),
        Some("The host sent more input than was granted")
    );
}

#[tokio::test]
async fn a_terminal() {
    let bench = Bench::new().await;
    let mut talk = bench.open(&["sh"], &terminal(24, 80));
    talk.begin().await;
    talk.say(&ToGuest::Stdin(
        "stty size; echo $TERM; test -t 0 && test -t 2 && tty; echo do''ne\n".into(),
    ))
    .await;
    let seen = talk.until("done\r\n").await;
    // What was typed is echoed, and lines end as on a terminal.
    assert!(seen.contains("stty size; echo $TERM"), "{seen:?}");
    assert!(seen.contains("24 80\r\nxterm\r\n/dev/pts/"), "{seen:?}");
    talk.say(&ToGuest::Resize(WindowSize {
        rows: 50,
        columns: 132,
    }))
    .await;
    talk.say(&ToGuest::Stdin("stty size; echo a''gain\n".into()))
        .await;
    let seen = talk.until("again\r\n").await;
    assert!(seen.contains("50 132\r\n"), "{seen:?}");
    // The interrupt character goes to the foreground program, not to the shell.
    let program = "sh -c 'echo run\"\"ning; exec sleep 1000'\n";
    talk.say(&ToGuest::Stdin(program.into())).await;
    talk.until("running\r\n").await;
    talk.say(&ToGuest::Stdin("\u{3}".into())).await;
    talk.say(&ToGuest::Stdin("exit 9\n".into())).await;
    assert_eq!(talk.rest().await.exit, Some(Exit::Code(9)));
}

#[tokio::test]
async fn the_end_of_input_on_a_terminal() {
    let bench = Bench::new().await;
    let mut talk = bench.open(&["cat"], &terminal(24, 80));
    talk.begin().await;
    talk.say(&ToGuest::Stdin("no newline".into())).await;
    talk.say(&ToGuest::StdinEnd).await;
    let text = talk.rest().await.code(0);
    assert!(text.starts_with("no newline"), "{text:?}");
}

/// The number that a program writes in its first line.
async fn number(talk: &mut Talk) -> u32 {
    let line = talk.until("\n").await;
    line.trim().parse().unwrap_or_else(|_| panic!("{line:?}"))
}

async fn gone(pid: u32) {
    let status = format!("/proc/{pid}/stat");
    let gone = async {
        while fs_err::metadata(&status).is_ok() {
            let _ = timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
        }
    };
    soon(gone).await;
}

#[tokio::test]
async fn a_program_ends_with_its_host() {
    let bench = Bench::new().await;
    // The host drops the stream.
    for start in [Start::default(), terminal(1, 1)] {
        let mut talk = bench.open(&["sh", "-c", "echo $$; sleep 1000"], &start);
        talk.begin().await;
        let pid = number(&mut talk).await;
        drop(talk);
        gone(pid).await;
    }
    // Only SIGKILL helps.
    let mut talk = bench.open(
        &[
            "sh",
            "-c",
            "trap '' HUP; echo $$; while :; do sleep 1; done",
        ],
        &Start::default(),
    );
    talk.begin().await;
    let stubborn = number(&mut talk).await;
    drop(talk);
    // The link is lost.
    let mut talk = bench.open(&["sh", "-c", "echo $$; exec sleep 1000"], &Start::default());
    talk.begin().await;
    let pid = number(&mut talk).await;
    bench.host.driver.abort();
    gone(pid).await;
    gone(stubborn).await;
}

#[tokio::test]
async fn what_runs_on_in_the_background_holds_nothing_up() {
    let bench = Bench::new().await;
    let ran = bench.sh("echo a; (sleep 1000; echo late) & echo $!").await;
    let text = ran.code(0);
    let pid = text.strip_prefix("a\n").unwrap().trim();
    std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    // One that writes without end.
    let ran = bench.sh("yes & echo $! >&2; sleep 0.1").await;
    assert_eq!(ran.exit, Some(Exit::Code(0)));
    let pid = String::from_utf8(ran.stderr).unwrap();
    std::process::Command::new("kill")
        .args(["-9", pid.trim()])
        .status()
        .unwrap();
}

#[tokio::test]
async fn many_at_once() {
    let bench = Bench::new().await;
    let runs = (0..40).map(|number| {
        let script = format!("sleep 0.2; cat; exit {number}");
        let bench = &bench;
        async move {
            bench
                .run(&["sh", "-c", &script], &Start::default(), b"x")
                .await
        }
    });
    let mut runs: Vec<_> = runs.map(Box::pin).collect();
    for (number, run) in join_all(&mut runs).await.into_iter().enumerate() {
        assert_eq!(run.code(u8::try_from(number).unwrap()), "x");
    }
}

/// All of them, side by side.
async fn join_all<F: Future<Output = Ran> + Unpin>(futures: &mut [F]) -> Vec<Ran> {
    let mut done: Vec<Option<Ran>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(ran) = std::pin::Pin::new(future).poll(context)
            {
                *done = Some(ran);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn nonsense_is_refused() {
    let bench = Bench::new().await;
    let (mut from, mut to) = bench.host.link.open(&Target::Exec).unwrap().into_split();
    to.write_all(&[0xEE, 0, 0, 0, 0]).await.unwrap();
    let end = async { while let Ok(Some(_)) = from.read().await {} };
    soon(end).await;
    assert_eq!(
        from.reset_text().as_deref(),
        Some("The host does not keep to the protocol")
    );
    let mut talk = bench.open(&["cat"], &Start::default());
    talk.order.clear();
    talk.say(&ToGuest::StdinEnd).await;
    while let Ok(Some(_)) = talk.hear().await {}
    assert_eq!(
        talk.from.reset_text().as_deref(),
        Some("The host sent something out of turn")
    );
}
