//! Figures of a link over a socketpair: both ends on one current-thread runtime each.
//!
//! `cargo bench -p machine-protocol --bench link`

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints and may panic"
)]

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use machine_protocol::{
        link::{Hello, Link, RecvHalf, Role, SendHalf, accept, connect},
        message::Target,
        secret::Secret,
    };
    use tokio::{net::UnixStream, sync::Notify, task::LocalSet};

    const BULK: u64 = 2 << 30;

    fn hello(role: Role) -> Hello {
        let secret = Secret::from_hex(&"42".repeat(32)).unwrap();
        Hello {
            role,
            secret,
            build: "bench".into(),
            carrier: "socketpair".into(),
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    async fn source(mut send: SendHalf, bytes: u64) {
        let zeros = Bytes::from(vec![0; 16 * 1024]);
        let mut left = bytes;
        while left > 0 {
            let Ok(permit) = send.reserve().await else {
                return;
            };
            let part = permit
                .max_len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            permit.send(zeros.slice(..part));
            left -= part as u64;
        }
        send.finish();
    }

    async fn sink(mut recv: RecvHalf) -> u64 {
        let mut count = 0;
        while let Ok(Some(bytes)) = recv.read().await {
            count += bytes.len() as u64;
        }
        count
    }

    async fn serve(link: Link) {
        while let Some(incoming) = link.incoming().await {
            let target = incoming.target.clone();
            let (mut recv, mut send) = incoming.accept().into_split();
            tokio::task::spawn_local(async move {
                match target {
                    Target::Source { bytes } => source(send, bytes).await,
                    Target::Discard => {
                        sink(recv).await;
                        send.finish();
                    }
                    _ => {
                        while let Ok(Some(bytes)) = recv.read().await {
                            if send.write_all(&bytes).await.is_err() {
                                return;
                            }
                        }
                        send.finish();
                    }
                }
            });
        }
    }

    async fn down(link: &Link) -> u64 {
        let (recv, _send) = link
            .open(&Target::Source { bytes: BULK })
            .unwrap()
            .into_split();
        sink(recv).await
    }

    async fn up(link: &Link) -> u64 {
        let (mut recv, send) = link.open(&Target::Discard).unwrap().into_split();
        source(send, BULK).await;
        while let Ok(Some(_)) = recv.read().await {}
        BULK
    }

    async fn ping(link: &Link) -> Duration {
        let start = Instant::now();
        let (mut recv, mut send) = link.open(&Target::Echo).unwrap().into_split();
        send.write_all(b"ping").await.unwrap();
        send.finish();
        while let Ok(Some(_)) = recv.read().await {}
        start.elapsed()
    }

    async fn pings(link: &Link, count: usize, what: &str) {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(ping(link).await);
        }
        times.sort();
        println!(
            "ping {what}: p50 {:?}, p99 {:?}",
            times[count / 2],
            times[count * 99 / 100]
        );
    }

    fn rate(what: &str, bytes: u64, start: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64();
        println!("bulk {what}: {rate:.0} MiB/s");
    }

    pub(super) fn main() {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let guest = std::thread::spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime(), async move {
                let far = UnixStream::from_std(far).unwrap();
                let (link, driver) = accept(far, &hello(Role::Guest)).await.unwrap();
                tokio::task::spawn_local(serve(link));
                driver.run().await
            })
        });
        let local = LocalSet::new();
        local.block_on(&runtime(), async move {
            let near = UnixStream::from_std(near).unwrap();
            let (link, driver) = connect(near, &hello(Role::Host), &Notify::new())
                .await
                .unwrap();
            let driver = tokio::task::spawn_local(driver.run());
            pings(&link, 20_000, "alone").await;
            let start = Instant::now();
            rate("down", down(&link).await, start);
            let start = Instant::now();
            rate("up", up(&link).await, start);
            let other = link.clone();
            let bulk = tokio::task::spawn_local(async move { down(&other).await });
            pings(&link, 1000, "beside bulk down").await;
            bulk.abort();
            let other = link.clone();
            let bulk = tokio::task::spawn_local(async move { up(&other).await });
            pings(&link, 1000, "beside bulk up").await;
            bulk.abort();
            println!("{:?}", link.statistics());
            link.close();
            driver.await.unwrap();
        });
        guest.join().unwrap();
    }
}
