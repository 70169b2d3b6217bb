//! What goes wrong on purpose: words in a file `mischief` beside the program, one a line, read at each start.

use std::path::Path;

use super::Flavour;

/// What to do wrong.
#[derive(Debug)]
pub(super) struct Mischief {
    /// The version that the program says it has.
    pub(super) version: String,
    /// It is ended before its first instruction, whatever it is asked, as macOS ends a program that nobody has signed.
    pub(super) unsigned: bool,
    /// It says nothing when it is asked for its version.
    pub(super) mute: bool,
    /// It ends at once with these words, as for a missing entitlement.
    pub(super) refuse: Option<String>,
    /// It dies as if killed at this point of the boot: `configured`, `running`, `ignition`, `agent`.
    pub(super) die_at: Option<String>,
    /// The REST service takes connections and answers nothing.
    pub(super) silent_rest: bool,
    /// There is no REST service though one is asked for.
    pub(super) no_rest: bool,
    /// The guest does nothing about its power button.
    pub(super) deaf: bool,
}

impl Mischief {
    /// Reads what is asked for; without a file nothing goes wrong.
    pub(super) fn read(flavour: Flavour, program: &Path) -> Self {
        let mut mischief = Self {
            version: match flavour {
                Flavour::Vfkit => "0.6.2",
                Flavour::Krunkit => "1.2.0",
            }
            .to_owned(),
            unsigned: false,
            mute: false,
            refuse: None,
            die_at: None,
            silent_rest: false,
            no_rest: false,
            deaf: false,
        };
        let file = program.with_file_name("mischief");
        for line in fs_err::read_to_string(file).unwrap_or_default().lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "version" => rest.clone_into(&mut mischief.version),
                "unsigned" => mischief.unsigned = true,
                "mute" => mischief.mute = true,
                "refuse" => mischief.refuse = Some(rest.to_owned()),
                "die-at" => mischief.die_at = Some(rest.to_owned()),
                "silent-rest" => mischief.silent_rest = true,
                "no-rest" => mischief.no_rest = true,
                "deaf" => mischief.deaf = true,
                _ => super::log(&format!("no such mischief: {line}")),
            }
        }
        mischief
    }

    /// Dies here, if that is asked for, as by a crash: nothing is tidied up.
    pub(super) fn point(&self, name: &str) {
        if self.die_at.as_deref() == Some(name) {
            super::log(&format!("dying at {name}"));
            std::process::abort();
        }
    }
}
