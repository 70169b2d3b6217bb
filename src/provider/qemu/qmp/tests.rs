//! The client against a monitor played by the test; the real one is met in the tests of `launch`.

use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::io::{BufReader, DuplexStream};

use super::*;

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 9, "major": 10}}, "capabilities": ["oob", "new"], "more": 1}}"#;

/// The monitor's end.
struct Monitor(BufReader<DuplexStream>);

impl Monitor {
    async fn say(&mut self, line: &str) {
        self.0.write_all(line.as_bytes()).await.unwrap();
        self.0.write_all(b"\n").await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

struct Fixture {
    qmp: Qmp,
    monitor: Monitor,
    events: mpsc::UnboundedReceiver<RawEvent>,
    connection: tokio::task::JoinHandle<io::Result<()>>,
}

async fn fixture() -> Fixture {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut monitor = Monitor(BufReader::new(theirs));
    monitor.say(GREETING).await;
    monitor.say(r#"{"return": {}, "id": 0}"#).await;
    let (qmp, connection) = open(ours).await.unwrap();
    assert_eq!(monitor.hear().await["execute"], "qmp_capabilities");
    let (sender, events) = mpsc::unbounded_channel();
    let connection = tokio::spawn(connection.run(sender));
    Fixture {
        qmp,
        monitor,
        events,
        connection,
    }
}

#[tokio::test]
async fn events_and_fields_of_a_newer_qemu_do_no_harm() {
    let Fixture {
        qmp,
        mut monitor,
        mut events,
        ..
    } = fixture().await;
    monitor
        .say(r#"{"event": "EVENT_OF_2031", "data": {"x": [1]}, "timestamp": {"seconds": 1, "microseconds": 2}}"#)
        .await;
    monitor.say(r#"{"novelty": true}"#).await;
    monitor.say("no JSON at all").await;
    monitor
        .say(r#"{"event": "RESET", "data": {"guest": true, "reason": "reason-of-2031", "new": 1}}"#)
        .await;
    let asked = tokio::spawn(async move { qmp.execute(qapi::qmp::query_status {}).await });
    let heard = monitor.hear().await;
    assert_eq!(heard["execute"], "query-status");
    monitor
        .say(
            &json!({"return": {"status": "status-of-2031"}, "id": heard["id"], "extra": 1})
                .to_string(),
        )
        .await;
    assert_eq!(asked.await.unwrap().unwrap()["status"], "status-of-2031");
    assert_eq!(events.recv().await.unwrap().name, "EVENT_OF_2031");
    let reset = events.recv().await.unwrap();
    assert_eq!(
        (
            reset.name.as_str(),
            reset.flag("guest"),
            reset.text("reason")
        ),
        ("RESET", true, "reason-of-2031")
    );
}

#[tokio::test]
async fn answers_go_to_their_requests_and_dropped_requests_harm_nobody() {
    let Fixture {
        qmp, mut monitor, ..
    } = fixture().await;
    let qmp = std::sync::Arc::new(qmp);
    let dropped = tokio::spawn({
        let qmp = qmp.clone();
        async move { qmp.execute(qapi::qmp::stop {}).await }
    });
    let first = monitor.hear().await;
    dropped.abort();
    dropped.await.unwrap_err();
    let second = tokio::spawn({
        let qmp = qmp.clone();
        async move { qmp.execute(qapi::qmp::cont {}).await }
    });
    let second_heard = monitor.hear().await;
    assert_eq!(second_heard["execute"], "cont");
    // The answers cross, and that to the dropped request comes late.
    monitor
        .say(
            &json!({"error": {"class": "ClassOf2031", "desc": "no"}, "id": second_heard["id"]})
                .to_string(),
        )
        .await;
    let error = second.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "The virtual machine refused `cont`: no");
    monitor
        .say(&json!({"return": {}, "id": first["id"]}).to_string())
        .await;
    let third = tokio::spawn(async move { qmp.execute(qapi::qmp::quit {}).await });
    let heard = monitor.hear().await;
    assert_eq!(heard["execute"], "quit");
    monitor
        .say(&json!({"return": {}, "id": heard["id"]}).to_string())
        .await;
    third.await.unwrap().unwrap();
}

#[tokio::test]
async fn end_of_the_monitor_ends_requests_and_connection() {
    let Fixture {
        qmp,
        mut monitor,
        connection,
        ..
    } = fixture().await;
    let asked = tokio::spawn(async move {
        let first = qmp.execute(qapi::qmp::quit {}).await;
        (first, qmp.execute(qapi::qmp::quit {}).await)
    });
    monitor.hear().await;
    drop(monitor);
    let (first, second) = asked.await.unwrap();
    assert!(
        matches!(first, Err(ProviderError::Monitor { .. })),
        "{first:?}"
    );
    assert!(
        matches!(second, Err(ProviderError::Monitor { .. })),
        "{second:?}"
    );
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn dropped_client_closes_the_connection() {
    let Fixture {
        qmp,
        connection,
        mut monitor,
        ..
    } = fixture().await;
    drop(qmp);
    connection.await.unwrap().unwrap();
    assert_eq!(monitor.0.read_line(&mut String::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn lines_may_come_in_pieces_and_must_end() {
    let (mut ours, theirs) = tokio::io::duplex(7);
    let mut lines = Lines::new(theirs);
    let writer = tokio::spawn(async move {
        ours.write_all(b"{\"a\": 1}\n{\"b\"").await.unwrap();
        ours.write_all(b": 2}\nrest").await.unwrap();
    });
    assert_eq!(lines.next().await.unwrap().unwrap(), b"{\"a\": 1}\n");
    assert_eq!(lines.next().await.unwrap().unwrap(), b"{\"b\": 2}\n");
    assert_eq!(lines.next().await.unwrap(), None);
    writer.await.unwrap();

    let endless = tokio::io::repeat(b'x');
    let error = Lines::new(endless).next().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn something_else_that_listens_is_told_from_a_monitor() {
    for said in ["{}\n", "SSH-2.0-x\n", ""] {
        let (ours, mut theirs) = tokio::io::duplex(100);
        theirs.write_all(said.as_bytes()).await.unwrap();
        drop(theirs);
        assert!(open(ours).await.is_err(), "{said}");
    }
}
