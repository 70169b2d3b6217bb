//! A user whose WSL is the stand-in, as the contract wants one; and what is WSL's alone.

mod cli;
mod user;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use machine::provider::wsl::WslProvider;
use machine::provider::{Capabilities, Provider as _};

use crate::common::place::Place;
use crate::contract::{self, Bench};
use user::User;

pub(crate) fn main() -> ExitCode {
    let mut trials = contract::trials("wsl", true, |_| User::new());
    trials.extend(cli::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

impl Bench for User {
    fn capabilities(&self) -> &'static Capabilities {
        WslProvider::new().capabilities()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn init(&self) {
        Self::init(self);
    }

    fn program(&self) -> &'static str {
        "--exec /bin/sh -c trap"
    }

    fn stall(&self, stalled: bool) {
        self.host
            .conditions(if stalled { "hang --exec" } else { "" });
    }

    fn kept(&self, running: bool) -> Vec<String> {
        let which = if running { "--running" } else { "--all" };
        let names = self.host.said(&["--list", which, "--quiet"]).1;
        names.lines().map(str::to_owned).collect()
    }

    fn image(&self) -> String {
        let image = self.host.path("rootfs.tar");
        image.to_str().expect("the path is text").to_owned()
    }

    fn violations(&self) -> String {
        self.host.violations()
    }
}
