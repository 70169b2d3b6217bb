//! What `doctor` found: for people, for templates and as JSON.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::gotemplate::{Field, Struct, Value};
use crate::ops::doctor::{About, Finding, Mending, Severity};

const PROBLEM: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default().bold();
const MENDED: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A finding as JSON and for templates.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FindingJson {
    area: &'static str,
    machine: String,
    severity: &'static str,
    code: &'static str,
    what: String,
    why: String,
    hints: Vec<String>,
    fixable: bool,
    fixed: bool,
    outcome: String,
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let (area, machine) = match &finding.about {
            About::Host => ("host", String::new()),
            About::Machine(name) => ("machine", name.to_string()),
        };
        let outcome = match &finding.mending {
            Mending::ByHand | Mending::Offered(_) => "",
            Mending::Done(text) | Mending::Failed(text) => text,
        };
        Self {
            area,
            machine,
            severity: finding.severity.word(),
            code: finding.code,
            what: finding.what.clone(),
            why: finding.why.clone(),
            hints: finding.hints.clone(),
            fixable: finding.mending != Mending::ByHand,
            fixed: matches!(finding.mending, Mending::Done(_)),
            outcome: outcome.to_owned(),
        }
    }
}

/// Findings as JSON.
pub fn json(findings: &[Finding]) -> Vec<FindingJson> {
    findings.iter().map(FindingJson::from).collect()
}

/// Findings as the value that a template sees as dot.
pub fn rows(findings: &[Finding]) -> Value {
    let row = |finding: &Finding| {
        let FindingJson {
            area,
            machine,
            severity,
            code,
            what,
            why,
            hints,
            fixable,
            fixed,
            outcome,
        } = FindingJson::from(finding);
        let hints = Value::List {
            type_name: "[]string",
            items: hints.into_iter().map(Value::from).collect(),
        };
        Value::Struct(Struct {
            type_name: "machine.Finding",
            fields: vec![
                Field::new("Area", area),
                Field::new("Machine", machine),
                Field::new("Severity", severity),
                Field::new("Code", code),
                Field::new("What", what),
                Field::new("Why", why),
                Field::new("Hints", hints),
                Field::new("Fixable", fixable),
                Field::new("Fixed", fixed),
                Field::new("Outcome", outcome),
            ],
        })
    };
    Value::List {
        type_name: "[]machine.Finding",
        items: findings.iter().map(row).collect(),
    }
}

/// The fields that templates can name.
pub const FIELDS: [&str; 10] = [
    "Area", "Machine", "Severity", "Code", "What", "Why", "Hints", "Fixable", "Fixed", "Outcome",
];

/// The text for people: a line for the host and for each machine, and below it what is not as it should be.
pub fn text(findings: &[Finding]) -> String {
    findings
        .chunk_by(|one, other| one.about == other.about)
        .map(group)
        .collect()
}

fn group(findings: &[Finding]) -> String {
    let Some(first) = findings.first() else {
        return String::new();
    };
    let name = match &first.about {
        About::Host => "host".to_owned(),
        About::Machine(name) => format!("machine {name}"),
    };
    let problems = findings.iter().filter(|finding| finding.is_open_problem());
    let sum = match problems.count() {
        0 => "ok".to_owned(),
        1 => "1 problem".to_owned(),
        more => format!("{more} problems"),
    };
    let mut text = format!("{name}: {sum}\n");
    for finding in findings {
        if finding.severity != Severity::Ok {
            add(&mut text, finding);
        }
    }
    text
}

fn add(text: &mut String, finding: &Finding) {
    let done = matches!(finding.mending, Mending::Done(_));
    let (style, word) = match finding.severity {
        _ if done => (MENDED, "mended"),
        Severity::Problem => (PROBLEM, "problem"),
        Severity::Note | Severity::Ok => (NOTE, finding.severity.word()),
    };
    // What has several lines stays under its first one.
    let shown = |text: &str| text.replace('\n', "\n      ");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {style}{word}:{style:#} {}", shown(&finding.what));
    if !finding.why.is_empty() {
        let _ = writeln!(text, "    why: {}", shown(&finding.why));
    }
    match &finding.mending {
        Mending::Done(what) => {
            let _ = writeln!(text, "    done: {}", shown(what));
            return;
        }
        Mending::Failed(why) => {
            let _ = writeln!(text, "    not mended: {}", shown(why));
        }
        Mending::ByHand | Mending::Offered(_) => {}
    }
    for hint in &finding.hints {
        let _ = writeln!(text, "    {HINT}hint:{HINT:#} {}", shown(hint));
    }
}
