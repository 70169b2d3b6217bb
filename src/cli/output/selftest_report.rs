//! The steps of `selftest`: for people and as JSON.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::ops::selftest::{Outcome, Step};

const PASSED: Style = AnsiColor::Green.on_default().bold();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const SKIPPED: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A step as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StepJson {
    step: &'static str,
    outcome: &'static str,
    seconds: f64,
    what: String,
    why: Vec<String>,
    hints: Vec<String>,
}

impl From<&Step> for StepJson {
    fn from(step: &Step) -> Self {
        let (what, why, hints) = match &step.outcome {
            Outcome::Passed(seen) => (seen.clone(), Vec::new(), Vec::new()),
            Outcome::Failed(trouble) => (
                trouble.what.clone(),
                trouble.why.clone(),
                trouble.hints.clone(),
            ),
            Outcome::Skipped => Default::default(),
        };
        Self {
            step: step.name.word(),
            outcome: word(&step.outcome),
            // A millisecond is exact enough.
            seconds: (step.took.as_secs_f64() * 1000.0).round() / 1000.0,
            what,
            why,
            hints,
        }
    }
}

/// Steps as JSON.
pub fn json(steps: &[Step]) -> Vec<StepJson> {
    steps.iter().map(StepJson::from).collect()
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed(_) => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped => "skipped",
    }
}

/// A step in a line, with what went wrong below it.
pub fn text(step: &Step) -> String {
    let style = match &step.outcome {
        Outcome::Passed(_) => PASSED,
        Outcome::Failed(_) => FAILED,
        Outcome::Skipped => SKIPPED,
    };
    let name = step.name.word();
    let seconds = step.took.as_secs_f64();
    let word = word(&step.outcome);
    // What has several lines stays under its first one.
    let shown = |text: &str| text.replace('\n', "\n      ");
    let mut text = format!("{name:8} {style}{word:7}{style:#}");
    // Writing to a String cannot fail.
    match &step.outcome {
        Outcome::Skipped => text.push('\n'),
        Outcome::Passed(seen) => {
            let _ = writeln!(text, " {seconds:7.1} s  {}", shown(seen));
        }
        Outcome::Failed(trouble) => {
            let _ = writeln!(text, " {seconds:7.1} s  {}", shown(&trouble.what));
            for why in &trouble.why {
                let _ = writeln!(text, "    why: {}", shown(why));
            }
            for hint in &trouble.hints {
                let _ = writeln!(text, "    {HINT}hint:{HINT:#} {}", shown(hint));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ops::selftest::{StepName, Trouble};

    #[test]
    fn a_step_in_words_and_as_json() {
        let step = |name, outcome| Step {
            name,
            outcome,
            took: Duration::from_micros(12_345_678),
        };
        let steps = [
            step(StepName::Init, Outcome::Passed("an image".to_owned())),
            step(
                StepName::Start,
                Outcome::Failed(Trouble {
                    what: "no".to_owned(),
                    why: vec!["a\nb".to_owned()],
                    hints: vec!["try".to_owned()],
                }),
            ),
            step(StepName::Ping, Outcome::Skipped),
        ];
        let text: String = steps.iter().map(text).collect();
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "init     passed     12.3 s  an image\n\
             start    failed     12.3 s  no\n    why: a\n      b\n    hint: try\n\
             ping     skipped\n"
        );
        let value = serde_json::to_value(json(&steps)).expect("JSON");
        assert_eq!(value[0]["Seconds"], 12.346);
        assert_eq!(value[1]["Outcome"], "failed");
        assert_eq!(value[1]["Hints"][0], "try");
        assert_eq!(value[2]["Step"], "ping");
    }
}
