//! `machine doctor`.

use super::{Session, report};
use crate::cli::args::doctor::DoctorArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::{CommandError, SUCCESS};
use crate::cli::output::format::{self, Report};
use crate::cli::output::{doctor_report, json};
use crate::ops::doctor::{self, Finding};

/// What templates and their errors are called.
const TEMPLATE: &str = "doctor";
/// Exit code where a problem is left.
const PROBLEMS: u8 = 1;

/// Gives the exit code.
pub(super) async fn run(args: &DoctorArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let premises = session.premises();
    let names = args.names.iter().map(std::slice::from_ref);
    let names: Vec<&str> = names.map(name_or_default).collect();
    // A template that cannot be read is told before anything is changed.
    render(args, &[])?;
    let findings = doctor::examine(&premises, &names, args.fix).await?;
    session.printer.stdout(&render(args, &findings)?);
    if let Some(file) = &args.report {
        let machines = doctor::machines(&premises, &names)?;
        let mut made = report::gather(&premises, &machines).await?;
        report::add_findings(&mut made, &findings)?;
        report::write(&made, file, args.format.is_some(), session)?;
    }
    let is_well = !findings.iter().any(Finding::is_open_problem);
    Ok(if is_well { SUCCESS } else { PROBLEMS })
}

fn render(args: &DoctorArgs, findings: &[Finding]) -> Result<String, CommandError> {
    let Some(format) = &args.format else {
        return Ok(doctor_report::text(findings));
    };
    if format::is_json(format) {
        return Ok(json::list(&doctor_report::json(findings))? + "\n");
    }
    let headers = format::headers(&doctor_report::FIELDS, &[]);
    let rows = doctor_report::rows(findings);
    Ok(Report::user(TEMPLATE, format)?.render(Some(&headers), &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn ran(bench: &Bench, names: &[&str], format: Option<&str>, fix: bool) -> (u8, String) {
        let args = DoctorArgs {
            fix,
            format: format.map(str::to_owned),
            report: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut code = None;
        let (result, captured) = testing::run(bench, "", async |session| {
            code = Some(Box::pin(run(&args, session)).await?);
            Ok(())
        });
        (code.unwrap_or(125), result.err().unwrap_or(captured.stdout))
    }

    /// What is said of a machine; the host is what it is.
    fn of_machines(text: &str) -> String {
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("machine "));
        lines.map(|line| line.to_owned() + "\n").collect()
    }

    #[test]
    fn a_machine_without_its_files_is_a_problem_with_what_mends_it() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        fs_err::write(machine.files.config(), "format = 1").expect("a file");
        let (code, text) = ran(&bench, &["vm"], None, false);
        assert_eq!(code, 1);
        let text = of_machines(&text);
        assert!(
            text.starts_with("machine vm: 5 problems\n  problem: "),
            "{text}"
        );
        assert!(text.contains("machine rm --force vm"), "{text}");
        let (code, text) = ran(&bench, &[], Some("json"), false);
        assert_eq!(code, 1);
        let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let list = list.as_array().expect("a list");
        let found = list.iter().find(|one| one["Code"] == "unreadable");
        let found = found.expect("the bad file");
        assert_eq!(found["Area"], "machine");
        assert_eq!(found["Machine"], "vm");
        assert_eq!(found["Severity"], "problem");
        assert_eq!(found["Fixable"], false);
        let of_host = list.iter().filter(|one| one["Area"] == "host");
        assert!(of_host.count() > 2, "{text}");
    }

    #[test]
    fn what_is_mended_is_no_problem_any_more() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        fs_err::create_dir(machine.files.ssh_directory()).expect("a directory");
        for path in [
            machine.files.secret(),
            machine.files.ssh_client_key(),
            machine.files.known_hosts(),
            machine.files.ignition(),
        ] {
            machine_host::atomic::write(&path, b"", machine_host::atomic::Access::Private)
                .expect("a file");
        }
        let format =
            "{{if eq .Area \"machine\"}}{{.Code}} {{.Severity}} {{.Fixable}} {{.Fixed}}{{end}}";
        let told = |fix| ran(&bench, &["vm", "vm"], Some(format), fix).1;
        let lines = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        };
        let disk = "disk problem false false";
        assert_eq!(
            lines(told(false)),
            [
                "status ok false false",
                "connection-missing problem true false",
                disk
            ]
        );
        assert_eq!(
            lines(told(true)),
            [
                "status ok false false",
                "connection-missing problem true true",
                disk
            ]
        );
        assert_eq!(lines(told(false)), ["status ok false false", disk]);
    }

    #[test]
    fn a_report_is_written_and_what_is_in_it_is_told() {
        let bench = Bench::new();
        bench.make("vm");
        let file = bench.root.path().join("r.tar.gz");
        let report = |format: Option<&str>| {
            let args = DoctorArgs {
                fix: false,
                format: format.map(str::to_owned),
                report: Some(file.clone()),
                names: vec!["vm".to_owned()],
            };
            testing::run(&bench, "", async |session| {
                Box::pin(run(&args, session)).await.map(drop)
            })
        };
        let (result, captured) = report(None);
        assert_eq!(result, Ok(()));
        for line in [
            "README.txt\n",
            "host.json\n",
            "doctor.txt\n",
            "machines/vm/machine.toml\n",
            "look through it before you give it away",
        ] {
            assert!(captured.stdout.contains(line), "{line}: {captured:?}");
        }
        assert!(file.is_file());
        let (result, _) = report(None);
        let error = result.expect_err("it is there");
        assert!(
            error.contains("r.tar.gz` exists already\nhint: "),
            "{error}"
        );
        // Programs read standard output.
        fs_err::remove_file(&file).expect("it is there");
        let (result, captured) = report(Some("json"));
        assert_eq!(result, Ok(()));
        serde_json::from_str::<serde_json::Value>(&captured.stdout).expect("JSON");
        assert!(captured.stderr.contains("README.txt\n"), "{captured:?}");
    }

    #[test]
    fn mistakes_are_podmans_and_change_nothing() {
        let bench = Bench::new();
        bench.make("vm");
        let (code, text) = ran(&bench, &["vm", "gone"], None, true);
        assert_eq!(code, 125);
        assert!(
            text.starts_with("Error: gone: VM does not exist\n"),
            "{text}"
        );
        let (code, text) = ran(&bench, &[], Some("{{.Abc"), true);
        assert_eq!(code, 125);
        assert!(text.contains("template: doctor:1"), "{text}");
        assert!(!bench.root.path().join("connections.json").exists());
    }
}
