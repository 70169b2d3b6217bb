//! Swap space in compressed memory, by the kernel itself, so that it works with any image.
//!
//! The device is gone with the next boot; within one, its number is kept in `/run/machine/zram`, so that an agent that
//! is started again finds it.

use std::path::PathBuf;
use std::time::Duration;

use super::{Applied, Problem, failed};
use crate::linux::log::log;
use crate::linux::paths::Paths;
use crate::linux::{files, program};

/// Before swap space on disks, if there is any.
const PRIORITY: &str = "100";
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn apply(paths: &Paths, mib: u64) -> Result<Applied, Problem> {
    let zram = Zram { paths };
    let bytes = mib.saturating_mul(1 << 20);
    let mut taken_back = false;
    if let Some(number) = zram.recorded()? {
        if mib > 0 && zram.is_used(number) && zram.size(number) == Some(bytes) {
            return Ok(Applied::Done);
        }
        zram.take_back(number).await?;
        taken_back = true;
    }
    if mib == 0 {
        return Ok(if taken_back {
            Applied::Done
        } else {
            Applied::Unused
        });
    }
    // Without devices of its own; whoever loaded it before may have made some.
    program::run(paths, "modprobe", &["zram", "num_devices=0"], LIMIT).await?;
    let number = zram.add()?;
    match zram.use_it(number, bytes).await {
        Ok(()) => Ok(Applied::Done),
        Err(problem) => {
            if let Err(problem) = zram.take_back(number).await {
                log(&problem);
            }
            Err(problem)
        }
    }
}

struct Zram<'p> {
    paths: &'p Paths,
}

impl Zram<'_> {
    fn at(&self, path: &str) -> PathBuf {
        self.paths.root().join(path)
    }

    fn record(&self) -> PathBuf {
        self.at("run/machine/zram")
    }

    /// The device that an agent of this boot made.
    fn recorded(&self) -> Result<Option<u32>, Problem> {
        let content =
            files::read(&self.record()).map_err(failed("the swap device is not known"))?;
        Ok(content.and_then(|content| str::from_utf8(&content).ok()?.trim().parse().ok()))
    }

    fn device(number: u32) -> String {
        format!("/dev/zram{number}")
    }

    fn is_used(&self, number: u32) -> bool {
        let device = Self::device(number);
        let swaps = fs_err::read_to_string(self.at("proc/swaps")).unwrap_or_default();
        swaps
            .lines()
            .any(|line| line.split_ascii_whitespace().next() == Some(&device))
    }

    fn size(&self, number: u32) -> Option<u64> {
        let path = self.at(&format!("sys/block/zram{number}/disksize"));
        fs_err::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// A new device, which is recorded.
    fn add(&self) -> Result<u32, Problem> {
        let what = "no device for swap can be had";
        // Reading makes it.
        let number = fs_err::read_to_string(self.at("sys/class/zram-control/hot_add"))
            .map_err(failed(what))?;
        let number = number
            .trim()
            .parse()
            .map_err(|_| format!("{what}: the kernel names it `{}`", number.trim()))?;
        files::write(&self.record(), format!("{number}\n").as_bytes()).map_err(failed(what))?;
        Ok(number)
    }

    async fn use_it(&self, number: u32, bytes: u64) -> Result<(), Problem> {
        let path = self.at(&format!("sys/block/zram{number}/disksize"));
        fs_err::write(path, format!("{bytes}\n"))
            .map_err(failed("the size of the swap space cannot be set"))?;
        let device = Self::device(number);
        program::run(self.paths, "mkswap", &[&device], LIMIT).await?;
        let arguments = ["--priority", PRIORITY, &device];
        program::run(self.paths, "swapon", &arguments, LIMIT).await?;
        Ok(())
    }

    /// Frees the device. What is swapped out is read back first, which needs the memory.
    async fn take_back(&self, number: u32) -> Result<(), Problem> {
        if self.is_used(number) {
            program::run(self.paths, "swapoff", &[&Self::device(number)], LIMIT).await?;
        }
        for (path, text) in [
            (format!("sys/block/zram{number}/reset"), "1".to_owned()),
            (
                "sys/class/zram-control/hot_remove".to_owned(),
                number.to_string(),
            ),
        ] {
            if let Err(error) = fs_err::write(self.at(&path), format!("{text}\n")) {
                // The device stays, without memory.
                log(&format!("A swap device stays behind: {error}"));
            }
        }
        files::remove(&self.record()).map_err(failed("the swap device is not forgotten"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    /// A kernel's files, and programs that keep `/proc/swaps`.
    fn stub() -> Stub {
        let stub = Stub::new();
        stub.put("sys/class/zram-control/hot_add", "3\n");
        stub.put("sys/class/zram-control/hot_remove", "");
        stub.put("sys/block/zram3/disksize", "0\n");
        stub.put("sys/block/zram3/reset", "");
        stub.put("proc/swaps", "Filename Type\n");
        stub.program("usr/sbin/modprobe", "");
        stub.program("usr/sbin/mkswap", "");
        stub.program(
            "usr/sbin/swapon",
            "echo \"$3 partition\" >> $ROOT/proc/swaps",
        );
        stub.program("usr/sbin/swapoff", "echo Filename > $ROOT/proc/swaps");
        stub
    }

    #[tokio::test]
    async fn made_kept_changed_and_taken_back() {
        let stub = stub();
        let apply = async |mib| super::apply(&stub.paths, mib).await;
        assert_eq!(apply(0).await, Ok(Applied::Unused));
        assert_eq!(stub.calls(), [""; 0]);

        assert_eq!(apply(64).await, Ok(Applied::Done));
        let made = [
            "modprobe zram num_devices=0",
            "mkswap /dev/zram3",
            "swapon --priority 100 /dev/zram3",
        ];
        assert_eq!(stub.calls(), made);
        assert_eq!(stub.text("sys/block/zram3/disksize"), "67108864\n");
        assert_eq!(apply(64).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), [""; 0]);

        assert_eq!(apply(32).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), [&["swapoff /dev/zram3"], &made[..]].concat());
        assert_eq!(apply(0).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), ["swapoff /dev/zram3"]);
        assert_eq!(stub.text("sys/block/zram3/reset"), "1\n");
        assert_eq!(stub.text("sys/class/zram-control/hot_remove"), "3\n");
        assert_eq!(apply(0).await, Ok(Applied::Unused));
    }

    #[tokio::test]
    async fn a_failure_frees_the_device() {
        let stub = stub();
        stub.program("usr/sbin/swapon", "echo Invalid argument >&2; exit 255");
        assert_eq!(
            apply(&stub.paths, 64).await,
            Err("`swapon` ended with exit status: 255: Invalid argument".to_owned())
        );
        assert_eq!(stub.text("sys/class/zram-control/hot_remove"), "3\n");
        assert!(!stub.path("run/machine/zram").exists());
    }

    #[tokio::test]
    async fn a_kernel_without_it() {
        let stub = stub();
        stub.program(
            "usr/sbin/modprobe",
            "echo Module zram not found >&2; exit 1",
        );
        assert_eq!(
            apply(&stub.paths, 64).await,
            Err("`modprobe` ended with exit status: 1: Module zram not found".to_owned())
        );
    }
}
