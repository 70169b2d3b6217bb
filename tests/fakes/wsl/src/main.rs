//! A strict stand-in for `wsl.exe`, on Linux.
//!
//! Written from the documentation of WSL (its reference of commands, `wsl.conf`, the release notes of the store's
//! version) and not from what the provider happens to call. It keeps its distributions in the directory that
//! `FAKE_WSL_HOME` names, runs their programs in namespaces of the kernel, and has the faults that the file `conditions`
//! there names, see [`conditions`].
//!
//! What the provider must never do is not an answer of WSL but a line in the file `violations`, and exit code 99: a test
//! fails when that file is there.

mod arguments;
mod conditions;
mod distros;
mod instance;
mod messages;
mod output;
mod programs;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use self::arguments::{Call, Fault, Import, List, Run};
use self::conditions::{Conditions, State};
use self::distros::{Distro, Distros};
use self::instance::Instance;
use self::messages::Message;
use self::output::Output;

/// The exit code of WSL's own failures; Windows has -1, of which Unix keeps eight bits.
const FAILED: u8 = 255;
/// The exit code where nobody may get.
const VIOLATION: u8 = 99;

/// Why a call ends early.
enum End {
    /// As WSL would end it: a message, and behind it a code.
    Failed(Message, &'static str),
    /// A message without a code.
    Refused(Message),
    /// Something that nobody should ask for.
    Violation(String),
    /// The stand-in itself has a problem.
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        // What WSL says when its disk is full, whoever finds out.
        if error.kind() == io::ErrorKind::StorageFull {
            return Self::Failed(
                Message::DiskFull,
                "Wsl/Service/RegisterDistro/ERROR_DISK_FULL",
            );
        }
        Self::Broken(error)
    }
}

fn main() -> ExitCode {
    let Some(home) = std::env::var_os("FAKE_WSL_HOME").map(PathBuf::from) else {
        return ExitCode::from(VIOLATION);
    };
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let conditions = Conditions::read(&home);
    let output = Output::new(&conditions);
    let fake = Fake {
        distros: Distros::new(&home),
        conditions,
        output,
    };
    if let Err(error) = programs::note(&home, &words) {
        return fake.end(&home, &words, &End::Broken(error));
    }
    match fake.call(&words) {
        Ok(code) => ExitCode::from(code),
        Err(end) => fake.end(&home, &words, &end),
    }
}

struct Fake {
    distros: Distros,
    conditions: Conditions,
    output: Output,
}

impl Fake {
    fn end(&self, home: &std::path::Path, words: &[String], end: &End) -> ExitCode {
        match end {
            End::Failed(message, code) => self.output.error(message, Some(code)),
            End::Refused(message) => self.output.error(message, None),
            End::Violation(what) => {
                programs::violation(home, words, what);
                return ExitCode::from(VIOLATION);
            }
            End::Broken(error) => {
                programs::violation(home, words, &error.to_string());
                return ExitCode::from(VIOLATION);
            }
        }
        ExitCode::from(FAILED)
    }

    fn call(&self, words: &[String]) -> Result<u8, End> {
        if self.conditions.hangs(words) {
            programs::hang();
        }
        if self.conditions.state == State::NotInstalled {
            // What Windows brings along only says how to get the rest.
            self.output.error(&Message::NotInstalled, None);
            return Ok(1);
        }
        let call = arguments::parse(words).map_err(|fault| match fault {
            Fault::Unknown(word) => End::Refused(Message::UnknownArgument(word)),
            Fault::NoValue(word) => End::Refused(Message::MissingValue(word)),
            Fault::Version => End::Failed(Message::BadVersion, "Wsl/ERROR_VERSION_PARSE_ERROR"),
            Fault::Usage => End::Failed(Message::Usage, "Wsl/E_INVALIDARG"),
            Fault::Forbidden(why) => End::Violation(why.to_owned()),
        })?;
        self.conditions
            .fault(words)
            .map_or(Ok(()), |code| Err(End::Failed(Message::Unexpected, code)))?;
        match call {
            Call::Version => self.version(),
            Call::Status => {
                self.status();
                Ok(0)
            }
            Call::List(list) => self.list(&list),
            Call::SetDefaultVersion(version) => self.set_default_version(version),
            Call::Import(import) => self.import(&import),
            Call::Unregister { name, force } => self.unregister(&name, force),
            Call::Terminate { name } => {
                let distro = self.find(&name)?;
                Instance::of(&distro).end()?;
                self.output.line(&Message::Done);
                Ok(0)
            }
            Call::Run(run) => self.run(&run),
        }
    }

    fn version(&self) -> Result<u8, End> {
        if self.conditions.state == State::Inbox {
            // The version in Windows itself has no such option.
            return Err(End::Refused(Message::UnknownArgument(
                "--version".to_owned(),
            )));
        }
        self.output
            .line(&Message::Versions(self.conditions.version.clone()));
        Ok(0)
    }

    /// It looks whether the service of the virtual machine platform is there, which it is not before Windows was restarted,
    /// and says so with the address of `MessageEnableVirtualization` in every language, with exit code 0,
    /// and in the stream of its errors.
    fn status(&self) {
        self.output.line(&Message::DefaultVersion(2));
        match self.conditions.state {
            State::NoVirtualization | State::RebootPending => {
                self.output.error(&Message::VirtualizationOff, None);
            }
            State::Version1Only => self.output.line(&Message::Version1Only),
            _ => {}
        }
    }

    fn set_default_version(&self, version: u8) -> Result<u8, End> {
        if version == 1 {
            return Err(End::Violation(
                "version 1 is no version for machines".to_owned(),
            ));
        }
        self.virtualization("Wsl")?;
        self.output.line(&Message::Done);
        Ok(0)
    }

    /// What a distribution of version 2 needs.
    fn virtualization(&self, when: &'static str) -> Result<(), End> {
        let registering = when == "RegisterDistro";
        Err(match self.conditions.state {
            State::NoVirtualization | State::FirmwareOff => End::Failed(
                Message::VirtualizationOff,
                if registering {
                    "Wsl/Service/RegisterDistro/CreateVm/HCS/HCS_E_HYPERV_NOT_INSTALLED"
                } else {
                    "Wsl/Service/CreateInstance/CreateVm/HCS/HCS_E_HYPERV_NOT_INSTALLED"
                },
            ),
            State::RebootPending => End::Failed(
                Message::RebootPending,
                if registering {
                    "Wsl/Service/RegisterDistro/CreateVm/HCS/HCS_E_SERVICE_NOT_AVAILABLE"
                } else {
                    "Wsl/Service/CreateInstance/CreateVm/HCS/HCS_E_SERVICE_NOT_AVAILABLE"
                },
            ),
            State::Version1Only => End::Failed(
                Message::Version1Only,
                "Wsl/Service/RegisterDistro/WSL_E_VM_MODE_NOT_SUPPORTED",
            ),
            _ => return Ok(()),
        })
    }

    fn list(&self, list: &List) -> Result<u8, End> {
        let mut distros = self.distros.all()?;
        if list.verbose {
            if distros.is_empty() {
                return Err(End::Refused(Message::NoDistros));
            }
            let running = |distro: &Distro| Instance::of(distro).runs();
            let rows = distros
                .iter()
                .map(|distro| Ok((distro.name.clone(), running(distro)?, distro.installing)));
            let rows: io::Result<Vec<_>> = rows.collect();
            self.output.table(&rows?);
            return Ok(0);
        }
        if list.running {
            let mut running = Vec::new();
            for distro in distros {
                if Instance::of(&distro).runs()? {
                    running.push(distro);
                }
            }
            distros = running;
        }
        if !list.all {
            distros.retain(|distro| !distro.installing);
        }
        if !list.quiet {
            if distros.is_empty() {
                return Err(End::Refused(Message::NoDistros));
            }
            self.output.line(&Message::ListHeader);
        }
        for distro in &distros {
            self.output.name(&distro.name);
        }
        Ok(0)
    }

    fn import(&self, import: &Import) -> Result<u8, End> {
        if import.version == Some(1) {
            return Err(End::Violation(
                "version 1 is no version for machines".to_owned(),
            ));
        }
        if !distros::is_name(&import.name) {
            return Err(End::Failed(
                Message::Usage,
                "Wsl/Service/RegisterDistro/E_INVALIDARG",
            ));
        }
        if self.distros.find(&import.name)?.is_some() {
            return Err(End::Failed(
                Message::NameTaken,
                "Wsl/Service/RegisterDistro/ERROR_ALREADY_EXISTS",
            ));
        }
        self.virtualization("RegisterDistro")?;
        if self.distros.has_place(&import.place)? {
            return Err(End::Failed(
                Message::PlaceTaken,
                "Wsl/Service/RegisterDistro/ERROR_FILE_EXISTS",
            ));
        }
        let distro = self.distros.begin(&import.name, &import.place)?;
        if self.conditions.dies_in_import {
            // The service of Windows forgets nothing when its client is killed.
            return Ok(FAILED);
        }
        let imported = if self.conditions.disk_full {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            distro.unpack(&import.file)
        };
        if let Err(error) = imported {
            distro.remove()?;
            return Err(match error.kind() {
                io::ErrorKind::StorageFull => error.into(),
                io::ErrorKind::NotFound => {
                    End::Failed(Message::NoSuchFile, "Wsl/ERROR_FILE_NOT_FOUND")
                }
                _ => End::Failed(
                    Message::ImportFailed,
                    "Wsl/Service/RegisterDistro/WSL_E_IMPORT_FAILED",
                ),
            });
        }
        distro.complete()?;
        self.output.line(&Message::Done);
        Ok(0)
    }

    fn unregister(&self, name: &str, force: bool) -> Result<u8, End> {
        if !force && !io::stdin().is_terminal() {
            // Newer versions ask, and take no answer from a pipe.
            self.output.error(&Message::Cancelled, None);
            return Ok(FAILED);
        }
        let distro = self.find(name)?;
        Instance::of(&distro).end()?;
        distro.remove()?;
        self.output.line(&Message::Done);
        Ok(0)
    }

    fn run(&self, run: &Run) -> Result<u8, End> {
        let Some(name) = &run.distro else {
            return Err(End::Violation(
                "the user's default distribution is not ours".to_owned(),
            ));
        };
        let distro = self.find(name)?;
        if distro.installing {
            return Err(End::Failed(
                Message::Busy,
                "Wsl/Service/E_ILLEGAL_STATE_CHANGE",
            ));
        }
        self.virtualization("CreateInstance")?;
        let Some(user) = distro.user(run.user.as_deref())? else {
            return Err(End::Failed(Message::NoUser, "Wsl/WSL_E_USER_NOT_FOUND"));
        };
        let instance = Instance::of(&distro);
        instance.begin()?;
        Ok(instance.run(&user, &run.program)?)
    }

    fn find(&self, name: &str) -> Result<Distro, End> {
        self.distros.find(name)?.ok_or(End::Failed(
            Message::NoSuchDistro,
            "Wsl/Service/WSL_E_DISTRO_NOT_FOUND",
        ))
    }
}
