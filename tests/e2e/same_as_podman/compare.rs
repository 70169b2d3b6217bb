//! Two homes, one for each program, and what is compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::command::{Finished, clean, run};
use crate::support::home::SOON;
use crate::support::stage::Stage;

/// The page that tells users of every difference.
const COMPAT: &str = include_str!("../../../docs/compat.md");

/// What podman writes where there is nothing to write.
const NO_CONNECTION: &str = "{\"Connection\":{},\"Farm\":{}}\n";

/// The two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Podman,
    Machine,
}

/// What of a step is compared beyond the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Output as it is, and the first line of standard error.
    All,
    /// Output as JSON values, for the order of keys is no promise.
    Json,
    /// Output line by line, in any order.
    AnyOrder,
    /// A help page on standard output, which each program writes in its own words.
    Help,
    /// Nothing, not even the exit code. The reason is a piece of a line of docs/compat.md.
    Differs(&'static str),
}

/// One command line, without the name of the program. Blanks separate words, but within single quotes.
pub(super) struct Step(pub(super) &'static str, pub(super) Compare);

/// A home for each program.
pub(super) struct Twins {
    root: PathBuf,
}

impl Twins {
    /// Fresh homes with the same files in both.
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = Stage::get().scratch().join("same").join(name);
        let _ = fs_err::remove_dir_all(&root);
        let twins = Self { root };
        for program in [Program::Podman, Program::Machine] {
            let home = twins.home(program);
            fs_err::create_dir_all(home.join("run")).expect("the scratch directory can be written");
            for (path, content) in files {
                let path = home.join(path);
                fs_err::create_dir_all(path.parent().expect("a file is in a directory"))
                    .expect("a directory can be made");
                fs_err::write(path, content).expect("a file can be written");
            }
        }
        twins
    }

    pub(super) fn home(&self, program: Program) -> PathBuf {
        self.root.join(match program {
            Program::Podman => "podman",
            Program::Machine => "machine",
        })
    }

    /// The connections file of a program.
    pub(super) fn file(&self, program: Program) -> PathBuf {
        self.home(program).join("connections.json")
    }

    /// A command in the program's home, with the connections file given.
    pub(super) fn command(&self, program: Program, file: &Path, words: &[String]) -> Command {
        let home = self.home(program);
        // `machine system …` is `podman system …`; everything else is `podman machine …`.
        let is_system = words.first().is_some_and(|word| word == "system");
        let mut command = match program {
            Program::Machine => clean(&Stage::get().program("machine"), &home),
            Program::Podman => clean(&Stage::get().program("podman-remote"), &home),
        };
        if program == Program::Podman && !is_system {
            command.arg("machine");
        }
        command
            .args(words)
            .current_dir(&home)
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("PODMAN_CONNECTIONS_CONF", file);
        command
    }

    pub(super) fn run(&self, program: Program, words: &[String]) -> Finished {
        let mut command = self.command(program, &self.file(program), words);
        run(&mut command, b"", SOON)
    }

    /// Runs the steps with both programs, and collects what differs and may not, and what may and does not.
    pub(super) fn play(&self, steps: &[Step]) {
        let mut wrong = Vec::new();
        for Step(line, compare) in steps {
            let words = words(line);
            let podman = self.run(Program::Podman, &words);
            let machine = self.run(Program::Machine, &words);
            let found = self.differences(*compare, &podman, &machine);
            match compare {
                Compare::Differs(reason) => {
                    assert!(
                        COMPAT.contains(reason),
                        "docs/compat.md does not say `{reason}`"
                    );
                    if found.is_empty() {
                        wrong.push(format!("`{line}` differs no more: {reason}"));
                    }
                    // From here on both have the same again.
                    let theirs = fs_err::read(self.file(Program::Podman));
                    match theirs {
                        Ok(bytes) => fs_err::write(self.file(Program::Machine), bytes)
                            .expect("the file can be written"),
                        Err(_) => drop(fs_err::remove_file(self.file(Program::Machine))),
                    }
                }
                _ => wrong.extend(found.into_iter().map(|found| format!("`{line}`: {found}"))),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn differences(&self, compare: Compare, podman: &Finished, machine: &Finished) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, theirs: String, ours: String| {
            if theirs != ours {
                found.push(format!(
                    "{what}\n  podman:  {theirs:?}\n  machine: {ours:?}"
                ));
            }
        };
        let code = |finished: &Finished| format!("{:?}", finished.status.code());
        check("exit code", code(podman), code(machine));
        let text = |program, finished: &Finished| {
            let text = self.plain(program, &finished.text());
            match compare {
                Compare::Json => serde_json::from_str::<serde_json::Value>(&text)
                    .map_or(text, |value| value.to_string()),
                Compare::AnyOrder => {
                    let mut lines: Vec<&str> = text.lines().collect();
                    lines.sort_unstable();
                    lines.join("\n")
                }
                Compare::Help => String::new(),
                Compare::All | Compare::Differs(_) => text,
            }
        };
        check(
            "standard output",
            text(Program::Podman, podman),
            text(Program::Machine, machine),
        );
        let first = |program, finished: &Finished| {
            let text = self.plain(program, &finished.stderr);
            text.lines().next().map(warning).unwrap_or_default()
        };
        check(
            "standard error",
            first(Program::Podman, podman),
            first(Program::Machine, machine),
        );
        assert!(COMPAT.contains("a change that changes nothing writes the file"));
        let content = |program| {
            let text = fs_err::read_to_string(self.file(program));
            text.unwrap_or_else(|_| NO_CONNECTION.to_owned())
        };
        check(
            "connections file",
            self.plain(Program::Podman, &content(Program::Podman)),
            self.plain(Program::Machine, &content(Program::Machine)),
        );
        found
    }

    /// Without what differs by the programs' names and places.
    fn plain(&self, program: Program, text: &str) -> String {
        let home = self.home(program);
        text.replace(home.to_str().expect("the stage's path is text"), "HOME")
            .replace("podman-remote machine", "machine")
            .replace("podman-remote system", "machine system")
    }
}

/// The words of a line.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A warning of podman's log as this program writes it.
fn warning(line: &str) -> String {
    assert!(COMPAT.contains("warnings are log lines"));
    let text = line
        .split_once("level=warning msg=\"")
        .and_then(|(_, text)| text.strip_suffix('"'));
    match text {
        Some(text) => format!("Warning: {}", text.replace("\\\"", "\"")),
        None => line.to_owned(),
    }
}
