//! What a client and a supervisor say to each other, and a client whose supervisor says anything.

#![no_main]

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use machine::supervisor::client::{ClientError, connect};
use machine::supervisor::control::{Greeting, Reply, Request, line};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

struct Place {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    listener: UnixListener,
    runtime: Runtime,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let guard = runtime.enter();
    let listener = UnixListener::bind(&socket).expect("a socket");
    drop(guard);
    Place {
        _directory: directory,
        socket,
        listener,
        runtime,
    }
});

fn same<T: PartialEq + Debug>(one: &T, other: &T) {
    assert_eq!(one, other);
}

macro_rules! round_trip {
    ($input:expr, $($kind:ty),*) => {$(
        if let Ok(message) = serde_json::from_slice::<$kind>($input) {
            let text = line(&message);
            assert_eq!(text.iter().position(|byte| *byte == b'\n'), Some(text.len() - 1));
            same(&message, &serde_json::from_slice::<$kind>(&text).unwrap());
        }
    )*};
}

/// Reads what the supervisor says until it has hung up.
async fn ask(question: u8) -> Result<(), ClientError> {
    let Some(mut connection) = connect(&PLACE.socket).await? else {
        return Ok(());
    };
    match question % 4 {
        0 => connection.ports().await.map(drop),
        1 => connection.reload().await.map(drop),
        2 => {
            connection.follow().await?;
            while connection.next().await?.is_some() {}
            Ok(())
        }
        _ => {
            connection.stop(true).await?;
            while connection.next().await?.is_some() {}
            Ok(())
        }
    }
}

async fn say(input: &[u8]) {
    let (mut stream, _) = PLACE.listener.accept().await.expect("a client");
    // A client that does not like it hangs up.
    let _ = stream.write_all(input).await;
}

fn greeted(input: &[u8]) -> Vec<u8> {
    let greeting = br#"{"newest":1,"oldest":1,"build":"1","pid":1,"vm_pid":null,"status":{"state":"running"}}"#;
    [&greeting[..], b"\n", input].concat()
}

fuzz_target!(|input: &[u8]| {
    round_trip!(input, Greeting, Request, Reply);
    let Some((question, input)) = input.split_first() else {
        return;
    };
    let said = if *question < 0x80 {
        greeted(input)
    } else {
        input.to_vec()
    };
    PLACE.runtime.block_on(async {
        // No answer is an error, none is waited for for ever.
        let (answer, ()) = tokio::join!(ask(*question), say(&said));
        if let Err(error) = answer {
            assert!(!matches!(error, ClientError::Silent { .. }), "{error}");
        }
    });
});
