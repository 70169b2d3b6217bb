//! Verdicts kept between starts, so that a start need not run QEMU for them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_host::facts;
use serde::{Deserialize, Serialize};

use crate::provider::Accelerator;
use crate::provider::qemu::platform;
use crate::provider::qemu::probe::attempt::Verdict;

/// How long a verdict counts that may be due to the load of the host.
const LOAD_PASSES: Duration = Duration::from_mins(10);

/// What a verdict depends on. Any change makes all verdicts void.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    program: PathBuf,
    modified_ns: u128,
    size: u64,
    kernel: String,
    processor: String,
    boot: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Content {
    key: Key,
    version: Option<String>,
    verdicts: Vec<Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    accelerator: Accelerator,
    at: u64,
    #[serde(flatten)]
    verdict: Verdict,
}

/// What is known about one QEMU on this host.
#[derive(Clone, Debug)]
pub(in crate::provider::qemu) struct Cache {
    path: PathBuf,
    content: Content,
    changed: bool,
}

impl Cache {
    /// Reads the file. One that is missing, broken, or about another QEMU, kernel, processor or boot counts as empty.
    pub(in crate::provider::qemu) fn load(path: &Path, program: &Path) -> Self {
        let key = key(program);
        let content = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok())
            .filter(|content| content.key == key)
            .unwrap_or(Content {
                key,
                version: None,
                verdicts: Vec::new(),
            });
        Self {
            path: path.to_owned(),
            content,
            changed: false,
        }
    }

    /// QEMU's version.
    pub(in crate::provider::qemu) fn version(&self) -> Option<&str> {
        self.content.version.as_deref()
    }

    /// Notes QEMU's version.
    pub(in crate::provider::qemu) fn set_version(&mut self, version: &str) {
        self.content.version = Some(version.to_owned());
        self.changed = true;
    }

    /// The verdict on an accelerator, if it still counts.
    pub(in crate::provider::qemu) fn verdict(&self, accelerator: Accelerator) -> Option<Verdict> {
        let kept = self
            .content
            .verdicts
            .iter()
            .find(|kept| kept.accelerator == accelerator)?;
        // One of the future is of a clock that was wrong, and as old as it is far away.
        let age = now().abs_diff(kept.at);
        let passes = matches!(kept.verdict, Verdict::Unusable { by_time: true, .. });
        (!passes || age < LOAD_PASSES.as_secs()).then(|| kept.verdict.clone())
    }

    /// Notes a verdict.
    pub(in crate::provider::qemu) fn set_verdict(
        &mut self,
        accelerator: Accelerator,
        verdict: Verdict,
    ) {
        let verdicts = &mut self.content.verdicts;
        verdicts.retain(|kept| kept.accelerator != accelerator);
        verdicts.push(Kept {
            accelerator,
            at: now(),
            verdict,
        });
        self.changed = true;
    }

    /// Writes the file if something is new. That this fails costs time at the next start and nothing else.
    pub(in crate::provider::qemu) fn store(&self) {
        if !self.changed {
            return;
        }
        // Without a lock this may be one that is about to be whole: then that one is not kept, which costs as little.
        atomic::clear_temporaries(&self.path);
        let written = serde_json::to_vec_pretty(&self.content)
            .map_err(std::io::Error::from)
            .and_then(|bytes| atomic::write(&self.path, &bytes, Access::Private));
        // Before the first machine there is no directory, and nothing to be kept.
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "What was found out about QEMU is not kept");
        }
    }
}

fn key(program: &Path) -> Key {
    let (kernel, processor) = platform::kernel_and_processor();
    let metadata = fs::metadata(program).ok();
    let modified = metadata
        .as_ref()
        .and_then(|metadata| metadata.modified().ok());
    Key {
        program: program.to_owned(),
        modified_ns: modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos()),
        size: metadata.map_or(0, |metadata| metadata.len()),
        kernel,
        processor,
        boot: facts::boot_id(),
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unusable(by_time: bool) -> Verdict {
        Verdict::Unusable {
            reason: "because".to_owned(),
            by_time,
        }
    }

    #[test]
    fn what_is_stored_is_found_again_until_the_program_changes() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("qemu");
        let path = directory.path().join("cache.json");
        fs::write(&program, "one").unwrap();

        let mut cache = Cache::load(&path, &program);
        assert_eq!(cache.verdict(Accelerator::Kvm), None);
        cache.store();
        assert!(!path.exists(), "nothing new, nothing written");
        cache.set_version("7.2.22");
        cache.set_verdict(Accelerator::Kvm, Verdict::Usable);
        cache.set_verdict(Accelerator::Kvm, unusable(false));
        cache.store();

        let again = Cache::load(&path, &program);
        assert_eq!(again.version(), Some("7.2.22"));
        assert_eq!(again.verdict(Accelerator::Kvm), Some(unusable(false)));
        assert_eq!(again.verdict(Accelerator::Hvf), None);

        fs::write(&program, "other").unwrap();
        let other = Cache::load(&path, &program);
        assert_eq!(
            (other.version(), other.verdict(Accelerator::Kvm)),
            (None, None)
        );
    }

    #[test]
    fn verdict_of_a_loaded_host_passes() {
        let mut cache = Cache::load(Path::new("/no/such/file"), Path::new("/no/such/qemu"));
        cache.set_verdict(Accelerator::Kvm, unusable(true));
        assert_eq!(cache.verdict(Accelerator::Kvm), Some(unusable(true)));
        cache.content.verdicts[0].at -= LOAD_PASSES.as_secs();
        assert_eq!(cache.verdict(Accelerator::Kvm), None);
        // The clock was ahead then.
        cache.content.verdicts[0].at = now() + 2 * LOAD_PASSES.as_secs();
        assert_eq!(cache.verdict(Accelerator::Kvm), None);
        cache.set_verdict(Accelerator::Kvm, unusable(false));
        cache.content.verdicts[0].at = 0;
        assert_eq!(cache.verdict(Accelerator::Kvm), Some(unusable(false)));
    }

    #[test]
    fn broken_file_counts_as_none_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache.json");
        let program = Path::new("/no/such/qemu");
        for broken in ["", "{", "null", "[1]", r#"{"key": {}, "verdicts": 3}"#] {
            fs::write(&path, broken).unwrap();
            assert_eq!(Cache::load(&path, program).version(), None, "{broken}");
        }
        let mut cache = Cache::load(&path, program);
        cache.set_version("8.0.0");
        cache.store();
        assert_eq!(Cache::load(&path, program).version(), Some("8.0.0"));
    }
}
