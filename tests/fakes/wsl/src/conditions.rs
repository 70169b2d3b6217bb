//! What is wrong with this WSL: the file `conditions` in its directory, one to a line.
//!
//! * `language de`, `language ja`: the language of Windows.
//! * `version 2.1.5.0`: the version that it says it has.
//! * `not-installed`, `inbox`, `version-1-only`, `no-virtualization`, `reboot-pending`: what the host lacks.
//! * `firmware-off`: the virtual machine platform is there, and the processor's virtualization is off: only a virtual
//!   machine that is to start finds out.
//! * `disk-full`: no import finds room.
//! * `import-dies`: an import ends half way and leaves what it has begun.
//! * `fail WORD CODE`: a call with that word fails with that code.
//! * `hang WORD`: a call with that word never ends.
//! * `stderr`: errors are written there, as some versions do.

use std::path::Path;

/// What the host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Good,
    NotInstalled,
    Inbox,
    Version1Only,
    NoVirtualization,
    FirmwareOff,
    RebootPending,
}

/// The language of Windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    German,
    Japanese,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) state: State,
    pub(crate) language: Language,
    pub(crate) version: String,
    pub(crate) disk_full: bool,
    pub(crate) dies_in_import: bool,
    pub(crate) errors_on_stderr: bool,
    hangs: Vec<String>,
    faults: Vec<(String, &'static str)>,
}

/// Codes that a test may ask for; WSL has them in this form in every language.
const CODES: &[&str] = &[
    "Wsl/Service/E_UNEXPECTED",
    "Wsl/Service/E_ACCESSDENIED",
    "Wsl/Service/CreateInstance/E_FAIL",
    "Wsl/Service/CreateInstance/ERROR_DISK_FULL",
    "Wsl/Service/CreateInstance/CreateVm/HCS/ERROR_NOT_SUPPORTED",
    "Wsl/Service/RegisterDistro/CreateVm/ConfigureNetworking/HNS/0x80070032",
];

impl Conditions {
    /// Those of the file; none without it. A line that is not understood is ignored, and the test that wrote it fails.
    pub(crate) fn read(home: &Path) -> Self {
        let text = fs_err::read_to_string(home.join("conditions")).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut found = Self {
            state: State::Good,
            language: Language::English,
            version: "2.6.1.0".to_owned(),
            disk_full: false,
            dies_in_import: false,
            errors_on_stderr: false,
            hangs: Vec::new(),
            faults: Vec::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["not-installed"] => found.state = State::NotInstalled,
                ["inbox"] => found.state = State::Inbox,
                ["version-1-only"] => found.state = State::Version1Only,
                ["no-virtualization"] => found.state = State::NoVirtualization,
                ["firmware-off"] => found.state = State::FirmwareOff,
                ["reboot-pending"] => found.state = State::RebootPending,
                ["language", "de"] => found.language = Language::German,
                ["language", "ja"] => found.language = Language::Japanese,
                ["version", version] => version.clone_into(&mut found.version),
                ["disk-full"] => found.disk_full = true,
                ["import-dies"] => found.dies_in_import = true,
                ["stderr"] => found.errors_on_stderr = true,
                ["hang", word] => found.hangs.push(word.to_owned()),
                ["fail", word, code] => {
                    let code = CODES.iter().find(|known| **known == code);
                    found
                        .faults
                        .extend(code.map(|code| (word.to_owned(), *code)));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether this call never ends.
    pub(crate) fn hangs(&self, words: &[String]) -> bool {
        self.hangs.iter().any(|word| words.contains(word))
    }

    /// The code with which this call fails.
    pub(crate) fn fault(&self, words: &[String]) -> Option<&'static str> {
        let fault = self.faults.iter().find(|(word, _)| words.contains(word))?;
        Some(fault.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_conditions() {
        let found = Conditions::parse(
            "language ja\nreboot-pending\nhang --import\nfail --list Wsl/Service/E_UNEXPECTED\n",
        );
        assert_eq!(found.language, Language::Japanese);
        assert_eq!(found.state, State::RebootPending);
        let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
        assert!(found.hangs(&words("--import a b c")));
        assert!(!found.hangs(&words("--list")));
        assert_eq!(
            found.fault(&words("--list --quiet")),
            Some("Wsl/Service/E_UNEXPECTED")
        );
        assert_eq!(found.fault(&words("--version")), None);
    }
}
