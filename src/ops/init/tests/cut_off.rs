//! An `init` that is cancelled, dropped or fails leaves nothing, or a whole machine.

use super::*;

#[tokio::test]
async fn a_cancellation_at_any_question_leaves_nothing() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    for question in 0.. {
        let recorder = Recorder::cancelling_at(question);
        let result = init(
            &bench.store,
            &cache(&bench),
            &connections(&bench),
            &host(),
            &request(&image),
            &recorder,
        )
        .await;
        let Err(error) = result else {
            assert!(question >= 4, "it was asked {question} times only");
            assert!(bench.store.find("dev").is_ok());
            return;
        };
        assert_eq!(error.to_string(), "Making machine `dev` was cancelled");
        assert!(nothing_is_there(&bench), "question {question}");
    }
}

/// The future is dropped at every point where it waits. The runtime waits for its threads, as the program does at its
/// end.
#[test]
fn a_dropped_future_leaves_nothing_or_a_whole_machine() {
    for polls in 0..50 {
        let bench = Bench::new();
        let request = request(&raw_image(&bench));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let finished = runtime.block_on(async {
            let (host, recorder, connections) = (host(), Recorder::patient(), connections(&bench));
            let cache = cache(&bench);
            let mut future = std::pin::pin!(init(
                &bench.store,
                &cache,
                &connections,
                &host,
                &request,
                &recorder
            ));
            let mut left = polls;
            std::future::poll_fn(|context| {
                if left == 0 {
                    return std::task::Poll::Ready(None);
                }
                left -= 1;
                future.as_mut().poll(context).map(Some)
            })
            .await
        });
        drop(runtime);
        if let Some(result) = finished {
            result.unwrap();
            assert!(polls > 3, "it waits at {polls} points only");
            return;
        }
        if bench.store.find("dev").is_ok() {
            continue;
        }
        if !nothing_is_there(&bench) {
            // The thread that makes the disk was in the middle of a file. The next change clears that away.
            let next = "next".parse().unwrap();
            drop(bench.store.begin(&next).unwrap());
        }
        assert!(
            nothing_is_there(&bench),
            "dropped after {polls} polls: {:?}",
            bench.hidden()
        );
    }
    panic!("it never finished");
}

#[tokio::test]
async fn a_machine_without_connections_is_none() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    // The check finds nothing wrong: only the lock's place is taken, by a directory.
    let connections = connections(&bench);
    fs::create_dir(connections.lock_path()).unwrap();
    let (host, request, recorder) = (host(), request(&image), Recorder::patient());
    let result = init(
        &bench.store,
        &cache(&bench),
        &connections,
        &host,
        &request,
        &recorder,
    )
    .await;
    let error = result.unwrap_err();
    assert!(matches!(error, InitError::Connection(_)), "{error:?}");
    assert!(nothing_is_there(&bench));
}

#[tokio::test]
async fn what_a_killed_removal_left_is_in_nobodys_way() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let connections = connections(&bench);
    let make = async || {
        init(
            &bench.store,
            &cache(&bench),
            &connections,
            &host(),
            &request(&image),
            &Recorder::patient(),
        )
        .await
    };
    make().await.unwrap();
    // As far as a removal came that was killed then.
    bench.store.edit(&name("dev")).unwrap().remove().unwrap();
    assert!(connections.read().unwrap().get("dev").is_some());
    make().await.unwrap();
}
