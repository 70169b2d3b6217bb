//! A supervisor as a task of Windows' Task Scheduler: its XML (Microsoft's "Task Scheduler Schema", version 1.2), the
//! arguments of `schtasks`, and what of a command line can stand in there. Pure.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use super::xml::escaped;
use crate::service::Service;

/// What the names of tasks begin with: a folder, which the scheduler makes.
const FOLDER: &str = "\\machine\\";
/// The shortest time that the schema has before a task is started again (`restartType`).
const RESTART_AFTER: &str = "PT1M";
/// How often that is done: a supervisor that dies again and again is given up.
const RESTARTS: u8 = 10;
/// Processes of tasks have a lower priority than those that a user starts, and a VM inherits it; from 4 to 6 it is the usual
/// one (`priorityType`).
const PRIORITY: u8 = 5;

/// The full name of a service's task.
pub(super) fn path(service: &str) -> String {
    format!("{FOLDER}{service}")
}

fn words<const N: usize>(words: [&OsStr; N]) -> Vec<OsString> {
    words.map(OsStr::to_owned).to_vec()
}

/// `schtasks` that makes a task of a file, in the place of one of the same name.
pub(super) fn create(service: &str, file: &OsStr) -> Vec<OsString> {
    let (path, name, xml): (_, &OsStr, &OsStr) = (path(service), "/TN".as_ref(), "/XML".as_ref());
    words([
        "/Create".as_ref(),
        name,
        path.as_ref(),
        xml,
        file,
        "/F".as_ref(),
    ])
}

/// `schtasks` that starts a task.
pub(super) fn run(service: &str) -> Vec<OsString> {
    let path = path(service);
    words(["/Run".as_ref(), "/TN".as_ref(), path.as_ref()])
}

/// `schtasks` that forgets a task. What it has started runs on.
pub(super) fn delete(service: &str) -> Vec<OsString> {
    let path = path(service);
    words([
        "/Delete".as_ref(),
        "/TN".as_ref(),
        path.as_ref(),
        "/F".as_ref(),
    ])
}

/// The file as `schtasks` reads it: UTF-16, with the mark of its order in front.
pub(super) fn encoded(xml: &str) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(xml.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// The first of these variables that changes what a supervisor does: a task has those of its user's logon alone.
pub(super) fn lost(names: impl IntoIterator<Item = OsString>) -> Option<String> {
    const PREFIXES: [&str; 6] = [
        "CONTAINERS_",
        "MACHINE_",
        "PODMAN_",
        "QEMU_",
        "RUST_",
        "SSL_CERT_",
    ];
    const PROXY: &str = "_PROXY";
    let is_lost = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.ends_with(PROXY) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut names = names.into_iter().filter_map(|name| name.into_string().ok());
    names.find(is_lost)
}

/// The task of a supervisor of this user, `DOMAIN\NAME`; an error names the path or word that cannot stand in one.
pub(super) fn task(service: &Service, user: &str) -> Result<String, OsString> {
    let [program, arguments @ ..] = &*service.command else {
        return Err(OsString::new());
    };
    let mut line: Vec<String> = Vec::new();
    for argument in arguments {
        line.push(quoted(plain(argument)?));
    }
    let user = escaped(plain(user.as_ref())?);
    let description = escaped(plain(service.description.as_ref())?);
    let command = escaped(plain(program)?);
    let directory = escaped(plain(service.directory.as_os_str())?);
    let arguments = escaped(&line.join(" "));
    let mut xml = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        xml,
        r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>{user}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <RestartOnFailure>
      <Interval>{RESTART_AFTER}</Interval>
      <Count>{RESTARTS}</Count>
    </RestartOnFailure>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>false</AllowHardTerminate>
    <Enabled>true</Enabled>
    <Hidden>true</Hidden>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
    </IdleSettings>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>{PRIORITY}</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{directory}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"#
    );
    Ok(xml)
}

/// A word that means itself. The scheduler puts in variables, `%NAME%` of the environment and `$(Arg0)` of its own, and has
/// no way to write one that is none; XML has no control characters.
fn plain(word: &OsStr) -> Result<&str, OsString> {
    let is_odd = |c: char| c.is_control() || matches!(c, '%' | '\u{FFFE}' | '\u{FFFF}');
    match word.to_str() {
        Some(text) if !text.contains(is_odd) && !text.contains("$(") => Ok(text),
        _ => Err(word.to_owned()),
    }
}

/// A word of a command line, as programs for Windows take theirs apart ("Parsing C command-line arguments"): quotes keep
/// blanks, and backslashes count only in front of a quote.
fn quoted(word: &str) -> String {
    let is_simple = !word.is_empty() && !word.contains([' ', '\t', '"']);
    if is_simple {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    let mut backslashes = 0;
    for letter in word.chars() {
        match letter {
            '\\' => backslashes += 1,
            '"' => quoted.push_str(&"\\".repeat(2 * backslashes + 1)),
            _ => quoted.push_str(&"\\".repeat(backslashes)),
        }
        if letter != '\\' {
            quoted.push(letter);
            backslashes = 0;
        }
    }
    quoted.push_str(&"\\".repeat(2 * backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn service(command: &[&str]) -> Service {
        Service {
            name: "machine-vm".to_owned(),
            description: "Virtual machine \"vm\"".to_owned(),
            command: command.iter().map(OsString::from).collect(),
            directory: r"C:\Users\A & B\vm".into(),
            log: r"C:\Users\A & B\vm\supervisor.log".into(),
            stop: Duration::from_secs(155),
            told: 125,
        }
    }

    /// Elements, their order where the schema has one, and their values are those of Microsoft's "Task Scheduler Schema".
    #[test]
    fn a_supervisor_is_a_task_without_a_limit_and_without_rights() {
        let command = [
            r"C:\Program Files\machine\machine.exe",
            "supervise",
            r"--starter=C:\Users\A & B\s",
            "<vm>",
        ];
        let task = task(&service(&command), r"HOST\A & B").unwrap();
        insta::assert_snapshot!(task, @r#"
        <?xml version="1.0" encoding="UTF-16"?>
        <Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
          <RegistrationInfo>
            <Description>Virtual machine "vm"</Description>
          </RegistrationInfo>
          <Triggers>
            <LogonTrigger>
              <Enabled>true</Enabled>
              <UserId>HOST\A &amp; B</UserId>
            </LogonTrigger>
          </Triggers>
          <Principals>
            <Principal id="Author">
              <UserId>HOST\A &amp; B</UserId>
              <LogonType>InteractiveToken</LogonType>
              <RunLevel>LeastPrivilege</RunLevel>
            </Principal>
          </Principals>
          <Settings>
            <AllowStartOnDemand>true</AllowStartOnDemand>
            <RestartOnFailure>
              <Interval>PT1M</Interval>
              <Count>10</Count>
            </RestartOnFailure>
            <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
            <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
            <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
            <AllowHardTerminate>false</AllowHardTerminate>
            <Enabled>true</Enabled>
            <Hidden>true</Hidden>
            <IdleSettings>
              <StopOnIdleEnd>false</StopOnIdleEnd>
            </IdleSettings>
            <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
            <Priority>5</Priority>
          </Settings>
          <Actions Context="Author">
            <Exec>
              <Command>C:\Program Files\machine\machine.exe</Command>
              <Arguments>supervise "--starter=C:\Users\A &amp; B\s" &lt;vm&gt;</Arguments>
              <WorkingDirectory>C:\Users\A &amp; B\vm</WorkingDirectory>
            </Exec>
          </Actions>
        </Task>
        "#);
    }

    #[test]
    fn what_would_be_another_word_makes_no_task() {
        for odd in ["%PATH%", "100%", "a$(Arg0)", "a\nb", "a\0b", "\u{FFFF}"] {
            let refused = task(&service(&["machine.exe", odd]), "u");
            assert_eq!(refused, Err(odd.into()), "{odd:?}");
        }
        assert!(task(&service(&["machine.exe", "$5", "(Arg0)"]), "u").is_ok());
        task(&service(&[]), "u").unwrap_err();
    }

    #[test]
    fn a_task_loses_what_was_set_for_a_command() {
        let lost = |names: &[&str]| lost(names.iter().map(OsString::from));
        assert_eq!(lost(&["PATH", "USERPROFILE", "TEMP"]), None);
        for name in [
            "MACHINE_HOME",
            "https_proxy",
            "CONTAINERS_CONF",
            "SSL_CERT_FILE",
        ] {
            assert_eq!(lost(&["PATH", name]).as_deref(), Some(name));
        }
    }

    #[test]
    fn the_scheduler_is_told_one_task() {
        let lines = |arguments: Vec<OsString>| arguments.join(OsStr::new(" "));
        for (arguments, expected) in [
            (
                create("machine-vm", r"C:\t\a.xml".as_ref()),
                r"/Create /TN \machine\machine-vm /XML C:\t\a.xml /F",
            ),
            (run("machine-vm"), r"/Run /TN \machine\machine-vm"),
            (delete("machine-vm"), r"/Delete /TN \machine\machine-vm /F"),
        ] {
            assert_eq!(lines(arguments), expected);
        }
        assert_eq!(encoded("<ä"), [0xFF, 0xFE, b'<', 0, 0xE4, 0]);
    }

    /// The documented examples of "Parsing C command-line arguments", from the word to the line.
    #[test]
    fn words_are_quoted_as_programs_read_them() {
        for (word, expected) in [
            ("a", "a"),
            ("", "\"\""),
            (r"a\\b", r"a\\b"),
            ("a b", "\"a b\""),
            (r"d e\", r#""d e\\""#),
            (r#"a\"b"#, r#""a\\\"b""#),
            (r"a\\b c", r#""a\\b c""#),
        ] {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }

    /// A line taken apart by the documented rules.
    fn taken_apart(line: &str) -> Vec<String> {
        let (mut words, mut word, mut inside, mut is_word) =
            (Vec::new(), String::new(), false, false);
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => {
                    let mut count = 1;
                    while letters.next_if_eq(&'\\').is_some() {
                        count += 1;
                    }
                    let before_quote = letters.peek() == Some(&'"');
                    word.push_str(&"\\".repeat(if before_quote { count / 2 } else { count }));
                    if before_quote && count % 2 == 1 {
                        letters.next();
                        word.push('"');
                    }
                    is_word = true;
                }
                '"' => (inside, is_word) = (!inside, true),
                ' ' | '\t' if !inside => {
                    if std::mem::take(&mut is_word) {
                        words.push(std::mem::take(&mut word));
                    }
                }
                letter => {
                    word.push(letter);
                    is_word = true;
                }
            }
        }
        words.extend(is_word.then_some(word));
        words
    }

    fn unescaped(text: &str) -> String {
        let text = text.replace("&lt;", "<").replace("&gt;", ">");
        text.replace("&amp;", "&")
    }

    fn element<'a>(xml: &'a str, name: &str) -> &'a str {
        let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0
    }

    proptest! {
        #[test]
        fn any_path_comes_back_or_is_refused(
            program in r"[ -~äß日]{1,20}",
            arguments in prop::collection::vec(r#"[ -~äß日]{0,20}|[\\" ]{0,6}"#, 0..4),
        ) {
            let mut command = vec![program.as_str()];
            command.extend(arguments.iter().map(String::as_str));
            let mut service = service(&command);
            service.directory = program.clone().into();
            let means_more = |word: &&str| word.contains('%') || word.contains("$(");
            match task(&service, "u") {
                Err(word) => prop_assert!(means_more(&word.to_str().unwrap())),
                Ok(xml) => {
                    prop_assert!(!command.iter().any(means_more));
                    prop_assert_eq!(unescaped(element(&xml, "Command")), program.clone());
                    prop_assert_eq!(unescaped(element(&xml, "WorkingDirectory")), program);
                    let line = unescaped(element(&xml, "Arguments"));
                    prop_assert_eq!(taken_apart(&line), arguments);
                }
            }
        }
    }
}
