//! A conversation with an agent that the test plays, over the supervisor's socket, which it plays as well.

use machine_host::local_socket;
use tokio::io::AsyncBufReadExt;

use super::*;
use crate::store::testing::Bench;
use crate::supervisor::control::{self, Greeting, NEWEST, OLDEST, Reply};

fn name() -> MachineName {
    "vm".parse().unwrap()
}

fn request(words: &[&str]) -> ExecRequest {
    ExecRequest {
        words: words.iter().map(OsString::from).collect(),
        variables: vec!["A=b".into()],
        ..ExecRequest::default()
    }
}

/// The guest's end.
struct Guest {
    stream: BufReader<Stream>,
    decoder: Decoder<ToGuest>,
}

impl Guest {
    /// A supervisor that joins its first client to this guest.
    async fn meet(mut listener: local_socket::Listener, status: WireStatus) -> Self {
        let mut stream = BufReader::new(listener.accept().await.unwrap());
        let greeting = Greeting {
            newest: NEWEST,
            oldest: OLDEST,
            build: "test".into(),
            pid: 1,
            vm_pid: None,
            status,
        };
        stream.write_all(&control::line(&greeting)).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(
            line,
            format!("{{\"request\":\"tunnel\",\"protocol\":{NEWEST},\"target\":\"exec\"}}\n")
        );
        stream
            .write_all(&control::line(&Reply::Joined))
            .await
            .unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
        }
    }

    async fn hear(&mut self) -> Option<ToGuest> {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return Some(message);
            }
            let mut piece = BytesMut::with_capacity(4096);
            match self.stream.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.decoder.push(&piece),
            }
        }
    }

    async fn say(&mut self, message: &ToHost) {
        let mut frame = BytesMut::new();
        encode(message, &mut frame).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Hears the order of [`request`] and says that it runs.
    async fn start(&mut self, words: &[&'static str]) {
        for word in words {
            assert_eq!(
                self.hear().await,
                Some(ToGuest::Argument(Bytes::from_static(word.as_bytes())))
            );
        }
        assert_eq!(self.hear().await, Some(ToGuest::Variable("A=b".into())));
        assert_eq!(self.hear().await, Some(ToGuest::Start(Start::default())));
        self.say(&ToHost::Started).await;
    }
}

/// Plays the guest by `script` while a program is run with this input.
async fn play(
    input: Vec<Bytes>,
    gestures: Vec<Gesture>,
    script: impl AsyncFnOnce(&mut Guest),
) -> (Result<Exit, ExecError>, Vec<Output>) {
    let bench = Bench::new();
    let files = bench.make("vm").files;
    let listener = local_socket::bind(&files.control_socket()).unwrap();
    let guest = async {
        let mut guest = Guest::meet(listener, WireStatus::Running).await;
        script(&mut guest).await;
    };
    let host = async {
        let program = begin(&name(), &files, &request(&["cat", "-"])).await?;
        let (sender, input_channel) = mpsc::channel(1);
        let (gesture, gestures_channel) = mpsc::unbounded_channel();
        let (output, mut said) = mpsc::channel(1);
        for each in gestures {
            gesture.send(each).unwrap();
        }
        let typing = async {
            for bytes in input {
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
            drop(sender);
        };
        let reading = async {
            let mut all = Vec::new();
            while let Some(output) = said.recv().await {
                all.push(output);
            }
            all
        };
        let talking = program.converse(input_channel, gestures_channel, output);
        let (exit, (), all) = tokio::join!(talking, typing, reading);
        exit.map(|exit| (exit, all))
    };
    let (host, ()) = tokio::join!(host, guest);
    match host {
        Ok((exit, all)) => (Ok(exit), all),
        Err(error) => (Err(error), Vec::new()),
    }
}

#[tokio::test]
async fn a_conversation() {
    let size = WindowSize {
        rows: 1,
        columns: 2,
    };
    let gestures = vec![Gesture::Resize(size), Gesture::Signal(Signal::Interrupt)];
    let (exit, said) = play(vec!["in".into()], gestures, async |guest| {
        guest.start(&["cat", "-"]).await;
        assert_eq!(guest.hear().await, Some(ToGuest::Resize(size)));
        assert_eq!(guest.hear().await, Some(ToGuest::Signal(Signal::Interrupt)));
        assert_eq!(guest.hear().await, Some(ToGuest::Stdin("in".into())));
        assert_eq!(guest.hear().await, Some(ToGuest::StdinEnd));
        guest.say(&ToHost::Stdout("out".into())).await;
        guest.say(&ToHost::Stderr("err".into())).await;
        guest.say(&ToHost::Exit(Exit::Code(3))).await;
    })
    .await;
    assert_eq!(exit.unwrap(), Exit::Code(3));
    assert_eq!(
        said,
        [Output::Stdout("out".into()), Output::Stderr("err".into())]
    );
}

#[tokio::test]
async fn input_keeps_to_what_is_granted() {
    let window = STDIN_WINDOW as usize;
    let all = vec![Bytes::from(vec![b'x'; window + 10]), "more".into()];
    let (exit, _) = play(all, Vec::new(), async |guest| {
        guest.start(&["cat", "-"]).await;
        let mut got = 0;
        while got < window {
            match guest.hear().await {
                Some(ToGuest::Stdin(bytes)) => got += bytes.len(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, window);
        // Nothing comes before more is granted.
        let early = tokio::time::timeout(std::time::Duration::from_millis(100), guest.hear());
        assert!(early.await.is_err());
        guest.say(&ToHost::StdinCredit(3)).await;
        assert_eq!(guest.hear().await, Some(ToGuest::Stdin("xxx".into())));
        guest.say(&ToHost::StdinCredit(100)).await;
        assert_eq!(guest.hear().await, Some(ToGuest::Stdin("xxxxxxx".into())));
        assert_eq!(guest.hear().await, Some(ToGuest::Stdin("more".into())));
        assert_eq!(guest.hear().await, Some(ToGuest::StdinEnd));
        guest.say(&ToHost::Exit(Exit::Signal(9))).await;
    })
    .await;
    assert_eq!(exit.unwrap().shell_code(), 137);
}

#[tokio::test]
async fn a_program_that_reads_no_more_stops_the_input() {
    let endless = (0..10_000).map(|_| Bytes::from(vec![0; 4096])).collect();
    let (exit, _) = play(endless, Vec::new(), async |guest| {
        guest.start(&["cat", "-"]).await;
        guest.say(&ToHost::StdinClosed).await;
        guest.say(&ToHost::Exit(Exit::Code(0))).await;
    })
    .await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
}

#[tokio::test]
async fn ends_that_are_none() {
    let (exit, _) = play(Vec::new(), Vec::new(), async |guest| {
        guest.start(&["cat", "-"]).await;
    })
    .await;
    assert_eq!(
        exit.unwrap_err().to_string(),
        "The connection to the program in vm \"vm\" was lost"
    );
    let (exit, _) = play(Vec::new(), Vec::new(), async |guest| {
        guest.start(&["cat", "-"]).await;
        guest.stream.write_all(&[0; 5]).await.unwrap();
    })
    .await;
    assert!(matches!(exit, Err(ExecError::Garbled { .. })));
    let (exit, _) = play(Vec::new(), Vec::new(), async |guest| {
        let failure = Failure {
            kind: FailureKind::NotFound,
            reason: "The guest has no program `cat`".to_owned(),
        };
        guest.say(&ToHost::Failed(failure)).await;
    })
    .await;
    let error = exit.unwrap_err();
    assert_eq!(error.to_string(), "The guest has no program `cat`");
    assert_eq!(error.kind(), Some(FailureKind::NotFound));
}

#[tokio::test]
async fn without_a_link_or_a_machine() {
    let bench = Bench::new();
    let files = bench.make("vm").files;
    let error = begin(&name(), &files, &request(&["true"]))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "vm \"vm\" is not running");
    assert_eq!(error.hints(), ["start it: machine start vm"]);

    let listener = local_socket::bind(&files.control_socket()).unwrap();
    let status = WireStatus::Starting {
        phase: crate::supervisor::events::Phase::Link,
    };
    let guest = async { drop(Guest::meet(listener, status).await) };
    let (name, asked) = (name(), request(&["true"]));
    let (error, ()) = tokio::join!(begin(&name, &files, &asked), guest);
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "The agent in vm \"vm\" cannot be reached"
    );
    assert_eq!(
        error.hints(),
        ["it is starting; see how far it is: machine logs vm"]
    );
}

#[test]
fn too_long_a_command_is_refused_here() {
    let long = request(&[&"x".repeat(exec::MAX_PAYLOAD + 1)]);
    assert!(order(&long).is_err());
    let word = "x".repeat(exec::MAX_PAYLOAD);
    let many: Vec<&str> = std::iter::repeat_n(word.as_str(), 16).collect();
    assert!(order(&request(&many)).is_err());
    assert!(order(&request(&many[..15])).is_ok());
}
