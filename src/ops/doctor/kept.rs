//! What hypervisors keep outside of the machines' directories: half of it, what is gone, and what belongs to nobody.

use std::path::{Path, PathBuf};

use machine_host::lock::FileLock;

use super::finding::Told;
use super::{About, Finding, Premises, Remedy};
use crate::machine::MachineName;
use crate::ops::host::providers;
use crate::provider::{Kept, KeptRequest, KeptState, Provider, ProviderError, registry};
use crate::store::MachineFiles;

/// What is wrong with what each provider keeps, of these machines and of none.
pub(super) async fn examine(
    premises: &Premises,
    names: &[MachineName],
    program_directories: &[PathBuf],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in providers() {
        let Ok(provider) = registry::provider(kind) else {
            continue;
        };
        match ask(premises, &*provider, program_directories).await {
            Ok(kept) => findings.extend(kept.iter().filter_map(|kept| {
                let name = MachineName::parse(&kept.machine).ok()?;
                let is_settled = is_settled(&premises.store.likely_files(&name));
                judge(kept, &name, is_settled)
            })),
            Err(error) => {
                let told = Told::of(&error, error.hints());
                findings.push(Finding::told(About::Host, "kept-systems", &told));
            }
        }
    }
    let is_wanted = |finding: &Finding| match &finding.about {
        About::Host => true,
        About::Machine(name) => names.contains(name),
    };
    findings.retain(is_wanted);
    findings
}

/// What is wrong with what this provider keeps.
pub(super) async fn ask(
    premises: &Premises,
    provider: &dyn Provider,
    program_directories: &[PathBuf],
) -> Result<Vec<Kept>, ProviderError> {
    let store = &premises.store;
    let place = |name: &str| {
        let name = MachineName::parse(name).ok()?;
        Some(store.likely_files(&name).provider_directory())
    };
    let request = KeptRequest {
        program_directories: program_directories.to_owned(),
        // A list that cannot be read is told of as such.
        machines: store.names().map_or_else(
            |_| Vec::new(),
            |names| names.iter().map(ToString::to_string).collect(),
        ),
        place: &place,
    };
    provider.kept(&request).await
}

/// What a half is, where nobody is at it.
fn judge(kept: &Kept, name: &MachineName, is_settled: bool) -> Option<Finding> {
    let what = &kept.what;
    match &kept.state {
        KeptState::Half if !is_settled => None,
        KeptState::Half => Some(
            Finding::note(
                About::Machine(name.clone()),
                "half-made-system",
                format!("Its {what} is there by half"),
            )
            .because("the making of it was cut off; the next start makes it anew")
            .hint(format!("machine start {name}"))
            .mended_by(Remedy::DiscardHalf),
        ),
        KeptState::Lost => Some(
            Finding::problem(
                About::Machine(name.clone()),
                "lost-system",
                format!("Its {what} is gone"),
            )
            .because("somebody has removed it, and with it went all that was in it")
            .hint(format!(
                "make the machine anew: machine rm {name}; machine init {name}"
            )),
        ),
        // The name alone proves nothing: a user can import one under it, or rename one to it.
        KeptState::Stray { remove } => Some(
            Finding::note(
                About::Host,
                "stray-system",
                format!("The {what} is called as one of machine `{name}` would be, and is of no machine"),
            )
            .because(
                "the machine's directory was deleted by hand, or somebody else made it; the name cannot be used meanwhile",
            )
            .hint(format!("if nothing in it is needed: {remove}")),
        ),
    }
}

/// Whether neither a command nor a supervisor is at the machine. A look makes no file.
fn is_settled(files: &MachineFiles) -> bool {
    let is_free =
        |path: &Path| !path.exists() || matches!(FileLock::try_acquire(path), Ok(Some(_)));
    is_free(&files.edit_lock()) && is_free(&files.run_lock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::{Mending, Severity};
    use crate::store::testing::{Bench, name};

    fn judged(state: KeptState, is_settled: bool) -> Option<Finding> {
        let kept = Kept {
            machine: "dev".to_owned(),
            what: "distribution `d`".to_owned(),
            state,
        };
        judge(&kept, &name("dev"), is_settled)
    }

    #[test]
    fn only_a_half_is_mended_and_only_where_nobody_is_at_it() {
        let half = judged(KeptState::Half, true).unwrap();
        assert_eq!(half.about, About::Machine(name("dev")));
        assert_eq!(half.mending, Mending::Offered(Remedy::DiscardHalf));
        assert_eq!(half.hints[0], "machine doctor --fix dev");
        assert_eq!(judged(KeptState::Half, false), None);
        let lost = judged(KeptState::Lost, true).unwrap();
        assert_eq!(
            (lost.severity, lost.mending),
            (Severity::Problem, Mending::ByHand)
        );
        let remove = "wsl --unregister d".to_owned();
        let stray = judged(KeptState::Stray { remove }, true).unwrap();
        assert_eq!((stray.about, stray.mending), (About::Host, Mending::ByHand));
        assert_eq!(
            stray.hints,
            ["if nothing in it is needed: wsl --unregister d"]
        );
    }

    #[test]
    fn a_machine_whose_lock_is_held_is_left_alone() {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        assert!(is_settled(&files));
        let held = FileLock::try_acquire(&files.run_lock()).unwrap();
        assert!(!is_settled(&files));
        drop(held);
        let _held = FileLock::try_acquire(&files.edit_lock()).unwrap();
        assert!(!is_settled(&files));
    }
}
