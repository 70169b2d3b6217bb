//! What a provider brings to the tests, and what they see of a machine.

use std::time::Duration;

use machine::provider::Capabilities;
use machine_host::process::ProcessIdentity;
use serde_json::Value;

use super::NAME;
use crate::common::command::{Finished, eventually};
use crate::common::leftovers::leftovers;
use crate::common::place::Place;
use crate::common::{SOON, api};

/// A user with one provider, which is the hypervisor's program or a stand-in for it.
pub(crate) trait Bench {
    /// What the provider says of itself.
    fn capabilities(&self) -> &'static Capabilities;

    /// Where the machines are.
    fn place(&self) -> &Place;

    /// Makes the machine [`NAME`], which has one CPU.
    fn init(&self);

    /// A part of the command line of the process that is the VM.
    fn program(&self) -> &'static str;

    /// From now on a VM's process does nothing once it is started, or works again.
    fn stall(&self, stalled: bool);

    /// What the hypervisor itself has of machines: of those that run, or of all. Each is a line.
    fn kept(&self, _running: bool) -> Vec<String> {
        Vec::new()
    }

    /// Has the hypervisor pause the VM or let it go on, as its own tools do; false where it has none.
    fn pause(&self, _paused: bool) -> bool {
        false
    }

    /// Takes away the data disk of a machine that is stopped: the guests here mount none.
    fn without_data_disk(&self) {
        let config = self.place().machine_dir(NAME).join("machine.toml");
        let text = fs_err::read_to_string(&config).expect("it was made");
        let text = text.replace("data_disk = \"own\"\n", "");
        fs_err::write(&config, text).expect("it can be written");
    }

    /// The image with which a machine can be made anew.
    fn image(&self) -> String;

    /// How long a start may take.
    fn patience(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Whether the stand-in was asked for something that nobody may ask: that, or nothing.
    fn violations(&self) -> String {
        String::new()
    }

    /// Runs `machine`, which succeeds.
    fn machine(&self, words: &[&str]) -> String {
        self.run(words).succeeded()
    }

    /// Runs `machine`, which fails with a sentence and what to do.
    fn refuses(&self, words: &[&str]) -> String {
        self.run(words).failed()
    }

    /// Runs `machine`.
    fn run(&self, words: &[&str]) -> Finished {
        self.place().machine(words, self.patience())
    }

    /// What `list` tells of the machine in this field.
    fn listed(&self, field: &str) -> Value {
        self.place().listed(NAME, field)
    }

    /// The process that is the VM, by the supervisor's note.
    fn vm(&self) -> ProcessIdentity {
        let record = self.place().machine_dir(NAME).join("vm.json");
        let record = fs_err::read(record).expect("a machine that runs has a note");
        let record: Value = serde_json::from_slice(&record).expect("the note is JSON");
        serde_json::from_value(record["process"].clone()).expect("it names the process")
    }

    /// The supervisor's process.
    fn supervisor(&self) -> ProcessIdentity {
        self.named(" supervise ").expect("a supervisor runs")
    }

    /// A process of the place by a part of its command line.
    fn named(&self, part: &str) -> Option<ProcessIdentity> {
        let lines = self.place().processes();
        let line = lines.iter().find(|line| line.contains(part))?;
        let number = line.split(' ').next()?.parse().ok()?;
        ProcessIdentity::of(number).ok().flatten()
    }

    /// The machine is up and bytes go through everything, there and back.
    fn works(&self) {
        assert_eq!(self.listed("Running"), true);
        assert_eq!(self.place().state(NAME), "running");
        let socket = self.place().api_socket(NAME);
        eventually("the API answers", SOON, || {
            api::answers(&socket).then_some(())
        });
        let bytes: String = ('a'..='z').cycle().take(300_000).collect();
        let answer = api::echo(&socket, &bytes).expect("the engine is reached");
        assert!(answer == bytes, "other bytes come back");
    }

    /// The machine has ended, and nothing of it runs or listens.
    fn is_down(&self) {
        eventually("nothing runs", SOON, || {
            let quiet = self.place().processes().is_empty();
            (quiet && self.kept(true).is_empty()).then_some(())
        });
        assert_eq!(self.listed("Running"), false);
        assert_eq!(self.listed("Starting"), false);
        assert_eq!(self.place().state(NAME), "stopped");
        assert_eq!(leftovers(self.place()), [""; 0]);
    }

    /// Nothing is left of the machine, nor of anything that was done for it.
    fn is_left_clean(&self) {
        // It may be gone.
        self.run(&["rm", "--force", NAME]);
        assert!(!self.place().machine_dir(NAME).exists());
        eventually("nothing runs", SOON, || {
            self.place().processes().is_empty().then_some(())
        });
        assert_eq!(leftovers(self.place()), [""; 0]);
        assert_eq!(self.kept(false), [""; 0]);
        assert_eq!(self.violations(), "");
    }
}
