//! `machine selftest`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::start::capitalised;
use super::{Session, image, init, report};
use crate::cli::args::selftest::SelftestArgs;
use crate::cli::error::{CommandError, SUCCESS};
use crate::cli::image_bar::ImageBar;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::printer::Printer;
use crate::cli::output::{json, selftest_report};
use crate::cli::progress::Phases;
use crate::machine::MachineName;
use crate::machine::settings::Settings;
use crate::ops::connection;
use crate::ops::doctor::{self, Premises};
use crate::ops::host::{Host, providers};
use crate::ops::init::{InitProgress, InitReporter, InitRequest};
use crate::ops::report::{Document, Report};
use crate::ops::selftest::{self, Place, SelftestReporter, Step, StepName};
use crate::supervisor::events::{Event, Stamped};

/// Exit code where a step failed.
const FAILED: u8 = 1;

/// Gives the exit code.
pub(super) async fn run(args: &SelftestArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let for_programs = match args.format.as_deref() {
        None => false,
        Some("json") => true,
        Some(other) => {
            return Err(CommandError::new(format!(
                "unknown format `{other}`: the one format of `selftest` is `json`"
            )));
        }
    };
    let name = selftest::fresh_name()?;
    let request = request(&name, args, session)?;
    let premises = session.premises();
    let work = async {
        let reporter = Reporter::new(args, for_programs, session);
        let cache = image::cache(session);
        let host = Host::detect();
        let place = Place {
            premises: &premises,
            cache: &cache,
            host: &host,
        };
        let mut steps = Box::pin(selftest::try_out(place, &request, &reporter)).await;
        // While there is something to report on, and unless nobody waits for it.
        let mut made = Ok(None);
        if args.report.is_some() && !session.interrupt.is_set() {
            made = Box::pin(examine(&premises, &name)).await.map(Some);
        }
        if !args.keep {
            steps.extend(Box::pin(selftest::remove(&premises, &name, &reporter)).await);
        }
        (steps, made)
    };
    let (steps, made) = session.interrupt.guard(work).await;
    if for_programs {
        let text = json::list(&selftest_report::json(&steps))? + "\n";
        session.printer.stdout(&text);
    } else if args.keep && session.store.find(name.as_str()).is_ok() {
        let text = format!("The machine {name} was kept: machine rm --force {name}\n");
        session.printer.stdout(&text);
    }
    if let (Some(file), Some(mut made)) = (&args.report, made?) {
        add_steps(&mut made, &steps)?;
        report::write(&made, file, for_programs, session)?;
    }
    let has_failed = steps.iter().any(Step::has_failed);
    Ok(if has_failed { FAILED } else { SUCCESS })
}

/// A machine as `init` makes it where nothing is asked for, but without folders of the host.
fn request(
    name: &MachineName,
    args: &SelftestArgs,
    session: &Session<'_>,
) -> Result<InitRequest, CommandError> {
    let layers = session.hostconf.layers(&|name| std::env::var_os(name))?;
    let settings = Settings::resolve(&layers);
    let provider = settings.provider(&providers())?;
    let reference = image::reference(args.image.as_deref(), &settings, provider)?;
    let image = image::request(reference, provider, &args.fetch, session)?;
    let scheme = connection::scheme(session.hostconf.own()?.connection_scheme);
    init::plain_request(name.clone(), &settings, scheme, image)
}

/// A report on the host and on the machine, as far as there is one.
async fn examine(premises: &Premises, name: &MachineName) -> Result<Report, CommandError> {
    // There are others, which nobody asked for.
    let mut machines = premises.store.names()?;
    machines.retain(|machine| machine == name);
    let mut made = report::gather(premises, &machines).await?;
    let names: Vec<&str> = machines.iter().map(MachineName::as_str).collect();
    if !names.is_empty() {
        let findings = doctor::examine(premises, &names, false).await?;
        report::add_findings(&mut made, &findings)?;
    }
    Ok(made)
}

fn add_steps(made: &mut Report, steps: &[Step]) -> Result<(), CommandError> {
    let text: String = steps.iter().map(selftest_report::text).collect();
    let text = anstream::adapter::strip_str(&text).to_string();
    made.add("selftest.txt", Document::Text(text));
    let value = serde_json::to_value(selftest_report::json(steps))?;
    made.add("selftest.json", Document::Json(value));
    Ok(())
}

/// Shows each step when it has ended, and how far the long ones are.
struct Reporter {
    printer: Printer,
    /// Standard output is for programs.
    for_programs: bool,
    interrupt: Interrupt,
    /// Of the step `init`.
    bar: Mutex<Option<ImageBar>>,
    /// Of the step `start`.
    phases: Mutex<Option<Phases>>,
}

impl Reporter {
    fn new(args: &SelftestArgs, for_programs: bool, session: &Session<'_>) -> Self {
        let bar = ImageBar::new(session.printer, &session.interrupt, args.fetch.progress);
        Self {
            printer: session.printer.clone(),
            for_programs,
            interrupt: session.interrupt.clone(),
            bar: Mutex::new(Some(bar)),
            phases: Mutex::new(None),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InitReporter for Reporter {
    fn progress(&self, progress: InitProgress) {
        let bar = locked(&self.bar);
        let Some(bar) = &*bar else {
            return;
        };
        match progress {
            InitProgress::Fetching(progress) => bar.fetch(progress),
            InitProgress::Notice(text) => bar.warn(&text),
            InitProgress::Done(text) => bar.tell(&text),
            InitProgress::Copying { done, total } => bar.copy(done, total),
            InitProgress::Image { .. } | InitProgress::Completing | InitProgress::Keeping => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupt.is_set()
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.interrupt.wait())
    }
}

impl SelftestReporter for Reporter {
    fn began(&self, name: StepName) {
        if name == StepName::Start {
            *locked(&self.phases) = Some(Phases::new(&self.printer));
        }
    }

    fn event(&self, stamped: &Stamped) {
        let mut phases = locked(&self.phases);
        let Some(phases) = &mut *phases else {
            return;
        };
        match &stamped.event {
            Event::Phase { phase } => phases.begin(&capitalised(phase.description())),
            Event::Warning { message } | Event::Degraded { reason: message } => {
                phases.warn(message);
            }
            Event::Rebooting => phases.begin("The guest reboots"),
            _ => {}
        }
    }

    fn ended(&self, step: &Step) {
        // What is drawn goes before the words come.
        match step.name {
            StepName::Init => *locked(&self.bar) = None,
            StepName::Start => *locked(&self.phases) = None,
            _ => {}
        }
        let text = selftest_report::text(step);
        if self.for_programs {
            self.printer.stderr(&text);
        } else {
            self.printer.stdout(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;
    use clap::Parser as _;

    fn ran(bench: &Bench, line: &str) -> (Result<u8, String>, Captured) {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        let Some(Command::Selftest(args)) = cli.command else {
            panic!("{line}");
        };
        let mut code = 0;
        let (result, captured) = testing::run(bench, "", async |session| {
            code = Box::pin(run(&args, session)).await?;
            Ok(())
        });
        (result.map(|()| code), captured)
    }

    #[test]
    fn a_step_that_fails_is_told_with_its_reason_and_nothing_is_left() {
        let bench = Bench::new();
        let (result, captured) = ran(&bench, "machine selftest --image /no/such/image.qcow2");
        assert_eq!(result, Ok(1));
        let out = captured.stdout;
        assert!(out.starts_with("init     failed"), "{out}");
        assert!(out.contains("/no/such/image.qcow2"), "{out}");
        assert!(out.ends_with("stop     skipped\n"), "{out}");
        assert_eq!(bench.store.names().expect("a list"), []);

        let report = bench.root.path().join("r.tar.gz");
        let line = format!(
            "machine selftest --format json --image /no/such/image.qcow2 --report={}",
            report.display()
        );
        let (result, captured) = ran(&bench, &line);
        assert_eq!(result, Ok(1));
        let steps: serde_json::Value = serde_json::from_str(&captured.stdout).expect("JSON");
        assert_eq!(steps[0]["Step"], "init");
        assert_eq!(steps[0]["Outcome"], "failed");
        assert_eq!(steps[6]["Outcome"], "skipped");
        assert!(captured.stderr.contains("selftest.json"), "{captured:?}");
        assert!(report.is_file());
    }

    #[test]
    fn other_formats_are_refused_before_anything_is_made() {
        let bench = Bench::new();
        let (result, _) = ran(&bench, "machine selftest --format yaml");
        let error = result.expect_err("no such format");
        assert!(error.contains("unknown format `yaml`"), "{error}");
    }
}
