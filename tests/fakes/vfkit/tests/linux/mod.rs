//! A user whose vfkit and krunkit are the stand-ins, as the contract wants one; and what is theirs alone.

mod cli;
mod user;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use machine::machine::ProviderKind;
use machine::provider::apple::AppleProvider;
use machine::provider::{Capabilities, Provider as _};

use crate::common::place::Place;
use crate::contract::{self, Bench, NAME};
use user::User;

pub(crate) fn main() -> ExitCode {
    let mut trials = contract::trials("vfkit", true, |_| User::new(AppleProvider::vfkit()));
    trials.extend(contract::trials("krunkit", true, |_| {
        User::new(AppleProvider::krunkit())
    }));
    trials.extend(cli::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

impl Bench for User {
    fn capabilities(&self) -> &'static Capabilities {
        self.provider.capabilities()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn init(&self) {
        let image = self.image();
        let words = ["init", "--cpus", "1", "--disk-size", "1", "--volume", ""];
        self.machine(&[&words[..], &["--image", &image, NAME]].concat());
        self.without_data_disk();
    }

    fn program(&self) -> &'static str {
        match self.provider.kind() {
            ProviderKind::LibKrun => "/krunkit --cpus",
            _ => "/vfkit --cpus",
        }
    }

    fn stall(&self, stalled: bool) {
        self.mischief(if stalled { "silent-rest" } else { "" });
    }

    /// krunkit has no such thing.
    fn pause(&self, paused: bool) -> bool {
        if self.provider.kind() == ProviderKind::LibKrun {
            return false;
        }
        let sockets = self.place.machine_dir(NAME).join("qmp.sock");
        let mut stream = UnixStream::connect(sockets).expect("its service listens");
        let wish = if paused { "Pause" } else { "Resume" };
        let body = format!("{{\"state\":\"{wish}\"}}");
        let length = body.len();
        let head =
            format!("POST /vm/state HTTP/1.0\r\nHost: vm\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.contains(" 202 "), "{answer}");
        true
    }

    fn image(&self) -> String {
        let image = self.place.root.join("disk.raw");
        image.to_str().expect("the path is text").to_owned()
    }
}
