//! What every provider passes (tests/contract), with QEMU and the stub guest.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::Trial;
use machine::provider::qemu::QemuProvider;
use machine::provider::{Capabilities, Provider as _};

use crate::common::place::Place;
use crate::contract::{self, Bench, NAME};
use crate::support::home::{BOOT, Home};
use crate::support::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    contract::trials("qemu", false, |place| {
        let (home, programs) = Home::with_programs(place);
        User { home, programs }
    })
}

struct User {
    home: Home,
    /// The directory of what is before QEMU in the way.
    programs: PathBuf,
}

impl Drop for User {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.home.end_all();
        }
    }
}

impl Bench for User {
    fn capabilities(&self) -> &'static Capabilities {
        QemuProvider::new().capabilities()
    }

    fn place(&self) -> &Place {
        &self.home
    }

    fn init(&self) {
        self.home.init_stub(NAME, &["--cpus", "1"]);
    }

    fn program(&self) -> &'static str {
        "-name guest="
    }

    /// By a QEMU that is before the real one in the way, and does nothing where it is to run a machine.
    fn stall(&self, stalled: bool) {
        let arch = std::env::consts::ARCH;
        let program = self.programs.join(format!("qemu-system-{arch}"));
        if !stalled {
            // It may never have been there.
            drop(fs_err::remove_file(program));
            return;
        }
        let real = format!("/usr/bin/qemu-system-{arch}");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *'-name guest='*) while :; do sleep 1; done ;; esac\nexec {real} \"$@\"\n"
        );
        fs_err::write(&program, script).expect("it can be written");
        let executable = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(&program, executable).expect("it is ours");
    }

    fn image(&self) -> String {
        let image = Stage::get().stub_image();
        image.to_str().expect("the path is text").to_owned()
    }

    fn patience(&self) -> Duration {
        BOOT
    }
}
