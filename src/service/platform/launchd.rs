//! The agent of a machine as launchd wants it: its property list (`launchd.plist(5)`), arguments of `launchctl(1)`, and what
//! that program answers. Pure.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use super::xml::escaped;
use crate::service::Service;

/// What launchd keeps of a user who has logged in at the screen.
fn domain(user: u32) -> String {
    format!("gui/{user}")
}

/// An agent in it.
fn target(user: u32, label: &str) -> String {
    format!("{}/{label}", domain(user))
}

fn words<const N: usize>(words: [&OsStr; N]) -> Vec<OsString> {
    words.map(OsStr::to_owned).to_vec()
}

/// `launchctl` that loads an agent from a file and starts it.
pub(super) fn bootstrap(user: u32, file: &OsStr) -> Vec<OsString> {
    words(["bootstrap".as_ref(), domain(user).as_ref(), file])
}

/// `launchctl` that starts an agent which is loaded and does not run; launchd has been seen to load without starting. One
/// that runs is left alone.
pub(super) fn kickstart(user: u32, label: &str) -> Vec<OsString> {
    words(["kickstart".as_ref(), target(user, label).as_ref()])
}

/// `launchctl` that ends an agent and forgets it.
pub(super) fn bootout(user: u32, label: &str) -> Vec<OsString> {
    words(["bootout".as_ref(), target(user, label).as_ref()])
}

/// `launchctl` that tells what is known of an agent.
pub(super) fn print(user: u32, label: &str) -> Vec<OsString> {
    words(["print".as_ref(), target(user, label).as_ref()])
}

/// What stands in the way of an agent of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// One that is loaded and has no process.
    Ended,
    /// One whose process runs, or is just ending: it is there until that has ended.
    Runs,
}

/// Reads the answer to [`print`], whose form is not promised: what is not understood runs. An agent that is not loaded makes
/// `launchctl` fail.
pub(super) fn conflict(printed: &str) -> Conflict {
    let state = printed
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("state = "));
    match state.map(str::trim_end) {
        Some("not running" | "waiting" | "spawn scheduled" | "exited") => Conflict::Ended,
        _ => Conflict::Runs,
    }
}

/// Whether a refusal of `launchctl` means that there is no such agent (`ESRCH` and 113 of launchd's own numbers).
pub(super) fn is_unknown(reason: &str) -> bool {
    reason.contains("Could not find service") || reason.contains("No such process")
}

/// The property list of a supervisor; an error names the path or word that is no text.
pub(super) fn agent(
    service: &Service,
    environment: &BTreeMap<String, String>,
) -> Result<String, OsString> {
    let text = |word: &OsStr| match word.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(Value::Text(text.to_owned())),
        _ => Err(word.to_owned()),
    };
    let command: Result<_, _> = service.command.iter().map(|word| text(word)).collect();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.as_str(), Value::Text(value.clone())));
    let agent = Value::Table(vec![
        ("Label", Value::Text(service.name.clone())),
        ("ProgramArguments", Value::List(command?)),
        ("WorkingDirectory", text(service.directory.as_os_str())?),
        ("StandardErrorPath", text(service.log.as_os_str())?),
        ("EnvironmentVariables", Value::Table(environment.collect())),
        ("RunAtLoad", Value::Truth(true)),
        // One that is killed is back, and takes its VM over. There is no list of exit codes: one that has said why it ends
        // is started once more, finds neither a VM nor somebody who waits, and ends with 0. Who has lived for less than
        // ten seconds comes back only when they are over, which bounds a supervisor that dies again and again.
        (
            "KeepAlive",
            Value::Table(vec![("SuccessfulExit", Value::Truth(false))]),
        ),
        // The VM and the programs beside it are not its own.
        ("AbandonProcessGroup", Value::Truth(true)),
        // Between SIGTERM, at a logout or shutdown, and SIGKILL.
        ("ExitTimeOut", Value::Number(service.stop.as_secs())),
        // A VM inherits it, and is not to be slowed down as work in the background is.
        ("ProcessType", Value::Text("Interactive".to_owned())),
    ]);
    Ok(document(&agent))
}

/// A value of a property list.
enum Value<'n> {
    Text(String),
    Number(u64),
    Truth(bool),
    List(Vec<Value<'n>>),
    Table(Vec<(&'n str, Value<'n>)>),
}

/// The XML of a property list (`plist(5)`).
fn document(value: &Value<'_>) -> String {
    let mut xml = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" ",
        "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n",
        "<plist version=\"1.0\">\n",
    ));
    write(&mut xml, value);
    xml.push_str("</plist>\n");
    xml
}

fn write(xml: &mut String, value: &Value<'_>) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(text) => writeln!(xml, "<string>{}</string>", escaped(text)),
        Value::Number(number) => writeln!(xml, "<integer>{number}</integer>"),
        Value::Truth(true) => writeln!(xml, "<true/>"),
        Value::Truth(false) => writeln!(xml, "<false/>"),
        Value::List(items) => {
            xml.push_str("<array>\n");
            for item in items {
                write(xml, item);
            }
            writeln!(xml, "</array>")
        }
        Value::Table(items) => {
            xml.push_str("<dict>\n");
            for (key, value) in items {
                let _ = writeln!(xml, "<key>{}</key>", escaped(key));
                write(xml, value);
            }
            writeln!(xml, "</dict>")
        }
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn service() -> Service {
        Service {
            name: "machine-vm".to_owned(),
            description: "Virtual machine \"vm\"".to_owned(),
            command: vec!["/opt/a b/machine".into(), "supervise".into(), "<&>".into()],
            directory: "/m/vm".into(),
            log: "/m/vm/supervisor.log".into(),
            stop: Duration::from_secs(155),
            told: 125,
        }
    }

    #[test]
    fn a_supervisor_is_an_agent_that_comes_back_and_stops_in_order() {
        let environment = [("PATH", "/bin"), ("https_proxy", "http://u:p&q@h")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let list = agent(&service(), &environment.into_iter().collect()).unwrap();
        insta::assert_snapshot!(list, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
        <key>Label</key>
        <string>machine-vm</string>
        <key>ProgramArguments</key>
        <array>
        <string>/opt/a b/machine</string>
        <string>supervise</string>
        <string>&lt;&amp;&gt;</string>
        </array>
        <key>WorkingDirectory</key>
        <string>/m/vm</string>
        <key>StandardErrorPath</key>
        <string>/m/vm/supervisor.log</string>
        <key>EnvironmentVariables</key>
        <dict>
        <key>PATH</key>
        <string>/bin</string>
        <key>https_proxy</key>
        <string>http://u:p&amp;q@h</string>
        </dict>
        <key>RunAtLoad</key>
        <true/>
        <key>KeepAlive</key>
        <dict>
        <key>SuccessfulExit</key>
        <false/>
        </dict>
        <key>AbandonProcessGroup</key>
        <true/>
        <key>ExitTimeOut</key>
        <integer>155</integer>
        <key>ProcessType</key>
        <string>Interactive</string>
        </dict>
        </plist>
        "#);
    }

    #[test]
    fn what_is_no_text_makes_no_agent() {
        let mut odd = service();
        odd.command.push("a\0b".into());
        assert_eq!(agent(&odd, &BTreeMap::new()), Err("a\0b".into()));
        let mut odd = service();
        odd.log = "/m\n/log".into();
        assert_eq!(agent(&odd, &BTreeMap::new()), Err("/m\n/log".into()));
    }

    proptest! {
        #[test]
        fn any_path_comes_back(path in r"/[ -~äß日]{0,30}", word in r"[ -~äß日]{0,20}") {
            let mut odd = service();
            odd.directory = path.clone().into();
            odd.command.push(word.clone().into());
            let list = agent(&odd, &BTreeMap::new()).unwrap();
            let has = |text: &str| {
                let strings = list.split("<string>").skip(1);
                let mut texts = strings.filter_map(|rest| Some(rest.split_once("</string>")?.0));
                texts.any(|found| {
                    let found = found.replace("&lt;", "<").replace("&gt;", ">");
                    found.replace("&amp;", "&") == text
                })
            };
            prop_assert!(has(&path) && has(&word), "{list}");
        }
    }

    #[test]
    fn launchctl_is_told_the_agent_of_the_user() {
        let lines = |arguments: Vec<OsString>| arguments.join(OsStr::new(" "));
        for (arguments, expected) in [
            (
                bootstrap(501, "/t/machine-vm.plist".as_ref()),
                "bootstrap gui/501 /t/machine-vm.plist",
            ),
            (kickstart(501, "machine-vm"), "kickstart gui/501/machine-vm"),
            (bootout(501, "machine-vm"), "bootout gui/501/machine-vm"),
            (print(501, "machine-vm"), "print gui/501/machine-vm"),
        ] {
            assert_eq!(lines(arguments), expected);
        }
    }

    #[test]
    fn what_is_left_of_an_agent() {
        let printed = |state: &str| {
            format!(
                "gui/501/machine-vm = {{\n\tactive count = 0\n\tpath = /t/a.plist\n\ttype = LaunchAgent\n\tstate = {state}\n\n\tprogram = /m\n\tlast exit code = 125\n}}\n"
            )
        };
        for (state, expected) in [
            ("not running", Conflict::Ended),
            ("waiting", Conflict::Ended),
            ("spawn scheduled", Conflict::Ended),
            ("running", Conflict::Runs),
            // It stops its machine.
            ("SIGTERMed", Conflict::Runs),
        ] {
            assert_eq!(conflict(&printed(state)), expected, "{state}");
        }
        assert_eq!(conflict(""), Conflict::Runs);
        let unknown =
            "Bad request.; Could not find service \"machine-vm\" in domain for user gui: 501";
        assert!(is_unknown(unknown) && is_unknown("Boot-out failed: 3: No such process"));
        assert!(!is_unknown("Bootstrap failed: 5: Input/output error"));
    }
}
