//! What the guest's service manager and its journal know, by their own programs. What they say is bounded.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use machine_protocol::message::Engine;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::paths::Paths;
use super::program;

/// How long a program may take that answers from what it knows.
const SOON: Duration = Duration::from_secs(20);
const OUTPUT_LIMIT: u64 = 256 * 1024;
const LINES: usize = 20;
const LINE_LENGTH: usize = 400;
const UNITS: usize = 50;

/// Waits until the guest has finished its start, however it ended, and says how: `running`, `degraded`, `maintenance`.
pub(super) async fn boot_finished(paths: &Paths) -> io::Result<String> {
    let arguments = ["is-system-running", "--wait"];
    let (_, output) = run(&paths.program("systemctl"), &arguments).await?;
    Ok(word(&output))
}

/// The state of the guest as a whole, now.
pub(super) async fn state(paths: &Paths) -> io::Result<String> {
    let (_, output) = run_soon(&paths.program("systemctl"), &["is-system-running"]).await?;
    Ok(word(&output))
}

/// The units that failed.
pub(super) async fn failed_units(paths: &Paths) -> io::Result<Vec<String>> {
    let arguments = [
        "list-units",
        "--state=failed",
        "--plain",
        "--no-legend",
        "--no-pager",
    ];
    let (_, output) = run_soon(&paths.program("systemctl"), &arguments).await?;
    Ok(units(&output))
}

/// How the units stand that an engine depends on, a line each: `podman.socket: masked inactive`.
pub(super) async fn engine_units(
    paths: &Paths,
    engine: Engine,
    uid: u32,
) -> io::Result<Vec<String>> {
    let manager = format!("user@{uid}.service");
    let mut arguments = vec!["show", "--property=Id,LoadState,ActiveState,Result"];
    match engine {
        Engine::Rootful => arguments.extend(["podman.socket", "podman.service"]),
        // The units are the user manager's, which is asked by a bus that may be what fails; that it runs says most.
        Engine::Rootless => arguments.push(&manager),
    }
    let (_, output) = run_soon(&paths.program("systemctl"), &arguments).await?;
    Ok(standing(&output))
}

/// What the journal says that may explain why an engine does not answer: the service managers' complaints (a boot that
/// ends in emergency mode need not have a failed unit, only jobs whose dependencies failed), then the engine's last
/// lines. The first are selected by name: what was said before the journal ran came through the kernel, without a process.
pub(super) async fn journal(paths: &Paths, engine: Engine) -> Vec<String> {
    let of_engine: &[&str] = match engine {
        Engine::Rootful => &["--unit=podman.socket", "--unit=podman.service"],
        // `--user-unit` would mean root's own.
        Engine::Rootless => &[
            "_SYSTEMD_USER_UNIT=podman.service",
            "+",
            "USER_UNIT=podman.service",
            "+",
            "USER_UNIT=podman.socket",
        ],
    };
    let (errors, engine) = tokio::join!(
        journal_lines(paths, &["--priority=warning", "--identifier=systemd"]),
        journal_lines(paths, of_engine)
    );
    [errors, engine]
        .into_iter()
        .flat_map(|lines| lines.unwrap_or_else(|error| vec![format!("No journal: {error}")]))
        .collect()
}

async fn journal_lines(paths: &Paths, selection: &[&str]) -> io::Result<Vec<String>> {
    let general = [
        "--boot",
        "--lines=20",
        "--output=cat",
        "--no-pager",
        "--quiet",
    ];
    let arguments = [&general, selection].concat();
    let (_, output) = run_soon(&paths.program("journalctl"), &arguments).await?;
    Ok(last_lines(&output))
}

/// Waits until the local file systems are mounted that are on their way, and writable: some images mount `/var` or make
/// `/etc` writable only then. Where nothing is on its way, there is nothing to wait for (emergency mode).
pub(super) async fn local_file_systems(paths: &Paths, limit: Duration) -> Result<(), String> {
    const TARGET: &str = "local-fs.target";
    let arguments = ["show", "--property=ActiveState,Job", "--", TARGET];
    let said = program::run(paths, "systemctl", &arguments, SOON).await?;
    if property(&said, "ActiveState") == Some("active") || !has_job(&said) {
        return Ok(());
    }
    // Joins the job that is there, and starts nothing else.
    let arguments = ["start", "--job-mode=ignore-requirements", "--", TARGET];
    program::run(paths, "systemctl", &arguments, limit).await?;
    Ok(())
}

/// Which of the units run, or are about to.
pub(super) async fn on_their_way(paths: &Paths, units: &[&str]) -> Result<Vec<bool>, String> {
    let mut arguments = vec!["show", "--property=ActiveState,Job", "--"];
    arguments.extend(units);
    let said = program::run(paths, "systemctl", &arguments, SOON).await?;
    let known = said.split("\n\n").filter(|block| !block.trim().is_empty());
    let runs = |block: &str| {
        let state = property(block, "ActiveState");
        matches!(state, Some("active" | "activating" | "reloading")) || has_job(block)
    };
    let mut known: Vec<bool> = known.map(runs).collect();
    // In the order of the question.
    known.resize(units.len(), false);
    Ok(known)
}

/// A property from what `systemctl show` says of one unit.
fn property<'t>(block: &'t str, name: &str) -> Option<&'t str> {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Its number, or none.
fn has_job(block: &str) -> bool {
    property(block, "Job").is_some_and(|job| !matches!(job.trim(), "" | "0"))
}

/// Asks for an orderly power-off. Nothing is waited for.
pub(super) async fn power_off(paths: &Paths) -> io::Result<()> {
    let (status, output) =
        run_soon(&paths.program("systemctl"), &["poweroff", "--no-block"]).await?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "systemctl ended with {status}: {}",
            output.trim()
        )))
    }
}

async fn run_soon(program: &Path, arguments: &[&str]) -> io::Result<(ExitStatus, String)> {
    match tokio::time::timeout(SOON, run(program, arguments)).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "`{}` did not end within {} s",
                program.display(),
                SOON.as_secs()
            ),
        )),
    }
}

async fn run(program: &Path, arguments: &[&str]) -> io::Result<(ExitStatus, String)> {
    let context = |error: io::Error| {
        io::Error::new(error.kind(), format!("`{}`: {error}", program.display()))
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(context)?;
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_LIMIT).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// A state, or what stands for the lack of one.
/// Units from the blocks of `systemctl show`, whose properties come in no order that is promised.
fn standing(output: &str) -> Vec<String> {
    let unit = |block: &str| {
        let value = |name: &str| property(block, name);
        let (id, load, active) = (value("Id")?, value("LoadState")?, value("ActiveState")?);
        let result = value("Result").filter(|result| *result != "success");
        let result = result
            .map(|result| format!(" ({result})"))
            .unwrap_or_default();
        Some(format!("{id}: {load} {active}{result}"))
    };
    output.split("\n\n").filter_map(unit).take(UNITS).collect()
}

fn word(output: &str) -> String {
    match output.split_ascii_whitespace().next() {
        Some(word) => word.chars().take(LINE_LENGTH).collect(),
        None => "unknown".to_owned(),
    }
}

/// The first column. Older versions put a dot before a failed unit, whatever they are told.
fn units(output: &str) -> Vec<String> {
    let names = output.lines().filter_map(|line| {
        let line = line.trim_start_matches(|sign: char| sign.is_whitespace() || !sign.is_ascii());
        line.split_ascii_whitespace().next()
    });
    names
        .take(UNITS)
        .map(|name| name.chars().take(LINE_LENGTH).collect())
        .collect()
}

fn last_lines(output: &str) -> Vec<String> {
    let lines: Vec<&str> = output.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter()
        .map(|line| line.chars().take(LINE_LENGTH).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lists_of_units() {
        let output = "\
            foo.service   loaded failed failed Foo, with words\n\
            ● bar@1.mount loaded failed failed Bar\n\
            \n";
        assert_eq!(units(output), ["foo.service", "bar@1.mount"]);
        assert_eq!(units(""), Vec::<String>::new());
        assert_eq!(units(&"x.service loaded\n".repeat(1000)).len(), UNITS);
    }

    #[test]
    fn units_stand() {
        let output = "Id=podman.socket\nLoadState=masked\nActiveState=inactive\nResult=success\n\n\
            Result=exit-code\nId=podman.service\nLoadState=loaded\nActiveState=failed\n\nnonsense\n";
        let lines = [
            "podman.socket: masked inactive",
            "podman.service: loaded failed (exit-code)",
        ];
        assert_eq!(standing(output), lines);
    }

    #[test]
    fn states() {
        assert_eq!(word("degraded\n"), "degraded");
        assert_eq!(word("\n"), "unknown");
    }

    #[test]
    fn journals_are_cut() {
        let lines: Vec<String> = (0..100)
            .map(|n| format!("{n} {}", "ä".repeat(1000)))
            .collect();
        let lines = last_lines(&lines.join("\n"));
        assert_eq!(lines.len(), LINES);
        assert!(lines[0].starts_with("80 ") && lines[19].starts_with("99 "));
        assert!(lines.iter().all(|line| line.chars().count() == LINE_LENGTH));
    }

    fn with_systemctl(script: &str) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path().to_path_buf(), 1000);
        let program = paths.program("systemctl");
        fs_err::create_dir_all(program.parent().unwrap()).unwrap();
        fs_err::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        (root, paths)
    }

    /// A degraded system makes `systemctl` end with 1; the word is the answer all the same.
    #[tokio::test]
    async fn exit_codes_are_no_answers() {
        let (_root, paths) = with_systemctl("echo degraded; exit 1");
        assert_eq!(boot_finished(&paths).await.unwrap(), "degraded");
        let error = power_off(&paths).await.unwrap_err().to_string();
        assert_eq!(error, "systemctl ended with exit status: 1: degraded");
    }

    #[tokio::test]
    async fn file_systems_are_waited_for_where_they_come() {
        for (said, asked) in [
            ("ActiveState=inactive\nJob=7", "show start"),
            ("Job=7\nActiveState=failed", "show start"),
            ("ActiveState=inactive\nJob=0", "show"),
            ("ActiveState=inactive", "show"),
            ("ActiveState=active\nJob=7", "show"),
        ] {
            let script = format!("printf '%s ' $1 >> $0.asked; test $1 = start || echo '{said}'");
            let (_root, paths) = with_systemctl(&script);
            local_file_systems(&paths, SOON).await.unwrap();
            let record = fs_err::read_to_string(paths.root().join("usr/bin/systemctl.asked"));
            assert_eq!(record.unwrap().trim(), asked, "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_on_its_way() {
        let said =
            "ActiveState=active\n\nActiveState=inactive\nJob=3\n\nJob=0\nActiveState=inactive\n";
        let (_root, paths) = with_systemctl(&format!("printf '{}'", said.replace('\n', "\\n")));
        let units = ["a", "b", "c", "d"];
        assert_eq!(
            on_their_way(&paths, &units).await.unwrap(),
            [true, true, false, false]
        );
    }

    #[tokio::test]
    async fn no_such_program() {
        let paths = Paths::new("/nowhere".into(), 1000);
        let error = state(&paths).await.unwrap_err().to_string();
        assert!(
            error.starts_with("`/nowhere/usr/bin/systemctl`: "),
            "{error}"
        );
    }
}
