//! One machine with every process that a machine can have, and what is done with it for a row of the table.
//!
//! After each row, whatever was killed: a second later `list` tells the truth, the command that was under way ends, the
//! next natural command works without flags, a VM that was not killed has lost no container, and nothing is left over.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use machine_host::process::ProcessIdentity;
use serde_json::Value;

use super::guest::Guest;
use super::table::{Actor, Case, Dice, Phase};
use super::tell;
use crate::support::api;
use crate::support::command::{Running, eventually};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::leftovers::leftovers;
use crate::tour::free_port;

/// Of the machine.
pub(super) const NAME: &str = "m";
/// After this long, `list` tells the truth.
const TRUTH: Duration = Duration::from_secs(1);

/// The machine.
pub(super) struct Bed {
    pub(super) home: Home,
    guest: Guest,
    /// What this VM has lost for good.
    lost: Vec<Actor>,
    /// Of its container.
    port: u16,
    dice: Dice,
}

impl Bed {
    pub(super) fn new(guest: Guest, name: &str, seed: u64) -> Self {
        let bed = Self {
            home: Home::new(name),
            guest,
            lost: Vec::new(),
            port: free_port(),
            dice: Dice(seed),
        };
        bed.init();
        bed
    }

    fn init(&self) {
        let folder = self.home.path().join("folder");
        fs_err::create_dir_all(&folder).expect("a directory can be made");
        let volume = format!("{}:/mnt/folder", folder.display());
        let more = ["--network", "passt", "--vsock", "user-first"];
        let more = [&more[..], &["--volume", &volume]].concat();
        self.guest.init(&self.home, &more, self.port);
    }

    fn machine(&self, words: &[&str]) -> String {
        self.home.machine(words, BOOT).succeeded()
    }

    fn socket(&self) -> PathBuf {
        self.home.api_socket(NAME)
    }

    /// Plays a row.
    pub(super) fn play(&mut self, case: &Case) {
        self.prepare(case);
        let before = (case.phase != Phase::Start).then(|| self.keeper());
        let started = self.happened("launched");
        let (phase, rootful) = (case.phase, self.dice.below(2) == 0);
        let guest_first = self.arm(case);
        let under_way = self.begin(phase, rootful, started);
        if guest_first {
            // The guest kills by itself, while the command is under way.
            nap(Duration::from_millis(1500));
        }
        let vm = self.record()["process"].clone();
        let vm: Option<ProcessIdentity> = serde_json::from_value(vm).ok();
        let victims: Vec<_> = case
            .actors
            .iter()
            .flat_map(|actor| self.processes(*actor))
            .collect();
        for victim in &victims {
            victim.kill().expect("it is the test's own");
        }
        let killed = Instant::now();
        self.note_losses(case);
        nap(TRUTH.saturating_sub(killed.elapsed()));
        self.tells_the_truth(vm.as_ref(), phase);
        if let Some(command) = under_way {
            // How it ends is its own affair, that it does is not.
            command.finish(BOOT);
        }
        match phase {
            Phase::Start | Phase::Running | Phase::Set => self.goes_on(case, before.as_deref()),
            Phase::Stop => {
                self.machine(&["stop", NAME]);
                assert_eq!(self.home.state(NAME), "stopped");
            }
            Phase::Rm => {
                let ended = self.home.machine(&["rm", "--force", NAME], BOOT);
                let gone = ended.stderr.contains("VM does not exist");
                assert!(gone || ended.status.success(), "{}", ended.stderr);
                assert!(!self.home.machine_dir(NAME).exists());
            }
        }
        assert_eq!(leftovers(&self.home), [""; 0]);
        if phase == Phase::Rm {
            self.init();
        }
    }

    /// Brings the machine where the row begins; one that has lost what is to be killed boots anew.
    fn prepare(&mut self, case: &Case) {
        let state = self.home.state(NAME);
        let spent = case.actors.iter().any(|actor| self.lost.contains(actor));
        if state != "stopped" && (case.phase == Phase::Start || spent) {
            self.machine(&["stop", "--force", NAME]);
        }
        if case.phase != Phase::Start && (state == "stopped" || spent) {
            self.machine(&["start", NAME]);
        }
        if state == "stopped" || spent || case.phase == Phase::Start {
            self.lost.clear();
        }
        if case.phase != Phase::Start {
            self.guest.has_keeper(&self.home, &self.socket(), self.port);
        }
    }

    /// Which something of the guest has to outlive whatever the VM outlives.
    fn keeper(&self) -> String {
        self.guest.keeper(&self.home, &self.socket())
    }

    /// Has the guest kill its own; in a moment, where a command is to be under way by then.
    fn arm(&self, case: &Case) -> bool {
        let Some(killing) = self.guest.killing(&case.actors) else {
            return false;
        };
        let mut words = vec!["exec", "--user", "root", NAME];
        words.extend(killing.iter().map(String::as_str));
        self.machine(&words);
        true
    }

    /// Begins the command of the phase and waits until it is in its middle.
    fn begin(&mut self, phase: Phase, rootful: bool, started: usize) -> Option<Running> {
        let words: Vec<String> = match phase {
            Phase::Running => return None,
            Phase::Start => vec!["start".into()],
            Phase::Stop => vec!["stop".into()],
            Phase::Rm => vec!["rm".into(), "--force".into()],
            Phase::Set => vec!["set".into(), format!("--rootful={rootful}")],
        };
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.push(NAME);
        let stops = self.happened("stopping");
        let command = self.home.begin(&words);
        match phase {
            Phase::Start => eventually("the VM runs", BOOT, || {
                (self.happened("launched") > started).then_some(())
            }),
            // A machine that was quick to go has taken its events along.
            Phase::Stop | Phase::Rm => eventually("it is being stopped", SOON, || {
                let gone = !self.home.machine_dir(NAME).exists();
                (gone || self.happened("stopping") > stops).then_some(())
            }),
            Phase::Running | Phase::Set => {}
        }
        let most = if phase == Phase::Set { 400 } else { 2_000 };
        nap(Duration::from_millis(self.dice.below(most) as u64));
        Some(command)
    }

    fn happened(&self, what: &str) -> usize {
        let log = self.home.machine_dir(NAME).join("events.jsonl");
        let log = fs_err::read_to_string(log).unwrap_or_default();
        log.matches(&format!("\"event\":\"{what}\"")).count()
    }

    /// The note by which the VM and its programs are found.
    fn record(&self) -> Value {
        let record = fs_err::read(self.home.machine_dir(NAME).join("vm.json")).unwrap_or_default();
        serde_json::from_slice(&record).unwrap_or_default()
    }

    /// The processes of an actor on this host.
    fn processes(&self, actor: Actor) -> Vec<ProcessIdentity> {
        let record = self.record();
        let helpers = |wanted: fn(&Value) -> bool| -> Vec<Value> {
            let helpers = record["helpers"].as_array().cloned().unwrap_or_default();
            let of_role = |helper: &Value| wanted(&helper["role"]);
            helpers.into_iter().filter(of_role).collect()
        };
        let found = match actor {
            Actor::Vm => vec![record["process"].clone()],
            Actor::Network => vec![record["network"]["process"].clone()],
            Actor::Share => helpers(|role| role.get("share").is_some()),
            Actor::Vsock => helpers(|role| role.get("share").is_none()),
            Actor::Supervisor => return self.supervisors(),
            Actor::Agent | Actor::Engine => Vec::new(),
        };
        let identity = |value| serde_json::from_value::<ProcessIdentity>(value).ok();
        let found: Vec<_> = found.into_iter().filter_map(identity).collect();
        found
            .into_iter()
            .filter(ProcessIdentity::is_alive)
            .collect()
    }

    fn supervisors(&self) -> Vec<ProcessIdentity> {
        let lines = self.home.processes();
        let lines = lines.iter().filter(|line| line.contains(" supervise "));
        let numbers = lines.filter_map(|line| line.split(' ').next()?.parse().ok());
        numbers
            .filter_map(|number| ProcessIdentity::of(number).ok().flatten())
            .collect()
    }

    fn note_losses(&mut self, case: &Case) {
        for actor in [Actor::Share, Actor::Vsock] {
            if case.kills(actor) {
                self.lost.push(actor);
            }
        }
        if case.kills(Actor::Vm) {
            self.lost.clear();
        }
    }

    /// What `list` says is what is there.
    fn tells_the_truth(&self, vm: Option<&ProcessIdentity>, phase: Phase) {
        let look = || {
            let supervised = !self.supervisors().is_empty();
            (vm.is_some_and(ProcessIdentity::is_alive), supervised)
        };
        let before = look();
        let text = self
            .home
            .machine(&["list", "--format", "json"], SOON)
            .succeeded();
        let list: Value = serde_json::from_str(&text).expect("the list is JSON");
        let entry = &list[0];
        if look() != before || (phase == Phase::Rm && entry.is_null()) {
            // It is on its way.
            return;
        }
        let told = (&entry["Running"], &entry["Starting"], &entry["Health"]);
        match before {
            (true, true) => assert!(
                entry["Running"] == true || entry["Starting"] == true,
                "{told:?}"
            ),
            (true, false) => {
                let expected = (&true.into(), &false.into(), &"unmanaged".into());
                assert_eq!(told, expected);
                let error = self.home.machine(&["rm", NAME], SOON).failed();
                assert!(error.contains("cannot be destroyed"), "{error}");
            }
            (false, _) => assert_eq!((told.0, told.1), (&false.into(), &false.into())),
        }
    }

    /// The machine is started, as somebody does who found it odd; then all is as before.
    fn goes_on(&self, case: &Case, before: Option<&str>) {
        let started = self.home.machine(&["start", NAME], BOOT);
        let runs = started.stderr.contains("already running");
        assert!(runs || started.status.success(), "{}", started.stderr);
        if case.phase == Phase::Set {
            // Done or not, and not by half.
            let rootful = self.inspected("{{.Rootful}}") == "true";
            let default = self.machine(&[
                "system",
                "connection",
                "list",
                "--format",
                "{{if .Default}}{{.Name}}{{end}}",
            ]);
            let expected = if rootful { "m-root" } else { "m" };
            assert_eq!(default.trim(), expected, "the connections follow the mode");
            self.machine(&["set", "--rootful=false", NAME]);
        }
        let socket = self.socket();
        let degraded = self.lost.contains(&Actor::Share);
        let expected = if degraded { "degraded:" } else { "healthy:" };
        let mut told = String::new();
        // An emulated guest on a busy host takes its time to start what was killed in it.
        eventually("the machine is whole", BOOT, || {
            let health = self.inspected("{{.Health}}: {{.Reason}}");
            if health != told {
                tell(&health);
                told = health;
            }
            (told.starts_with(expected) && api::answers(&socket)).then_some(())
        });
        if let (Some(before), false) = (before, case.kills(Actor::Vm)) {
            assert_eq!(self.keeper(), before, "the VM has lost what ran in it");
            eventually("its port is open", SOON, || {
                Guest::echoes(self.port).then_some(())
            });
        }
    }

    fn inspected(&self, format: &str) -> String {
        let words = ["inspect", "--format", format, NAME];
        let text = self.home.machine(&words, SOON).succeeded();
        text.trim_end().to_owned()
    }
}

/// A moment in which something else may happen.
pub(super) fn nap(time: Duration) {
    let begun = Instant::now();
    while let Some(rest) = time
        .checked_sub(begun.elapsed())
        .filter(|rest| !rest.is_zero())
    {
        std::thread::park_timeout(rest);
    }
}
