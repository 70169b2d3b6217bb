//! A host that sleeps, as its machine sees it: every process of it stands still for a while, and goes on.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::bed::nap;
use crate::clock::{SET, TOLERANCE, distance};
use crate::support::command::eventually;
use crate::support::home::{Home, SOON};
use crate::support::shared::{self, NAME};
use crate::support::{api, for_full, trial};

/// Longer than a clock may be wrong.
const ASLEEP: Duration = Duration::from_secs(6);
/// Then all is as before.
const AWAKE: Duration = Duration::from_secs(5);

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("deaths::a_host_that_sleeps", || nights(2)),
        trial("deaths::all_but_the_supervisor_sleep", without_supervisor),
    ];
    trials.extend(for_full(vec![trial("deaths::fifty_nights", || nights(50))]));
    trials
}

/// Processes that stand still for as long as it lives.
struct Still {
    pids: Vec<String>,
}

impl Still {
    fn begin(home: &Home, which: impl Fn(&str) -> bool) -> Self {
        let lines = home.processes();
        let lines = lines.iter().filter(|line| which(line));
        let pids = lines.filter_map(|line| line.split(' ').next());
        let still = Self {
            pids: pids.map(str::to_owned).collect(),
        };
        still.signal("-STOP");
        still
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(name).args(&self.pids).status();
        assert!(sent.expect("there is a `kill`").success());
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// The guest's SSH server says its name at the machine's port.
fn ssh_answers(home: &Home) -> bool {
    let port = home.listed(NAME, "Port").as_u64().expect("a port");
    let port = u16::try_from(port).expect("a port");
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    stream
        .set_read_timeout(Some(AWAKE))
        .expect("there may be a time limit");
    let mut name = [0; 4];
    stream.read_exact(&mut name).is_ok() && name == *b"SSH-"
}

/// What is asked within [`AWAKE`] is answered; an emulated guest takes its time for the answer.
fn soon_right(what: &str, woken: Instant, mut is_right: impl FnMut() -> bool) {
    loop {
        let asked = woken.elapsed();
        if is_right() {
            return;
        }
        assert!(asked < AWAKE, "{what}: not {AWAKE:?} after the sleep");
    }
}

fn nights(count: usize) {
    shared::with(|home, socket| {
        for night in 1..=count {
            drop({
                let still = Still::begin(home, |_| true);
                nap(ASLEEP);
                still
            });
            let woken = Instant::now();
            let what = |part: &str| format!("{part}, night {night}");
            soon_right(&what("the API"), woken, || api::answers(socket));
            soon_right(&what("SSH"), woken, || ssh_answers(home));
            soon_right(&what("the clock"), woken, || distance(home) < TOLERANCE);
            is_healthy(home);
        }
    });
}

/// Nobody sees this sleep, so the clock is right when it is next looked at.
fn without_supervisor() {
    shared::with(|home, socket| {
        let still = Still::begin(home, |line| !line.contains(" supervise "));
        nap(ASLEEP + ASLEEP);
        drop(still);
        let woken = Instant::now();
        soon_right("the API", woken, || api::answers(socket));
        soon_right("SSH", woken, || ssh_answers(home));
        eventually("the clock", SET, || {
            (distance(home) < TOLERANCE).then_some(())
        });
        is_healthy(home);
    });
}

fn is_healthy(home: &Home) {
    eventually("the machine is healthy", SOON, || {
        (home.listed(NAME, "Health") == "healthy").then_some(())
    });
}
