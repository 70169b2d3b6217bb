//! One try of one accelerator.

use std::io::{self, Write};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use machine_host::facts::Architecture;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::provider::Accelerator;
use crate::provider::process::{signal, tidy};
use crate::provider::qemu::argv;
use crate::provider::qemu::probe::firmware;

/// What is kept of QEMU's words.
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// What a try says about an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub(in crate::provider::qemu) enum Verdict {
    /// It ran the firmware image to its end.
    Usable,
    /// It did not.
    Unusable {
        /// Why, for the user.
        reason: String,
        /// Whether that may be due to the load of the host, so that it should be tried again later.
        by_time: bool,
    },
}

impl Verdict {
    fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable {
            reason: reason.into(),
            by_time: false,
        }
    }
}

/// Runs the firmware image under the accelerator.
pub(in crate::provider::qemu) async fn run(
    program: &Path,
    architecture: Architecture,
    accelerator: Accelerator,
    limit: Duration,
) -> Verdict {
    let image = match write_image(architecture) {
        Ok(image) => image,
        Err(error) => {
            return Verdict::unusable(format!("the test image could not be written: {error}"));
        }
    };
    let mut command = tokio::process::Command::new(program);
    command
        .args([
            "-no-user-config",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-machine", argv::machine_type(architecture), "-m", "64M"])
        .args(argv::accelerator(
            architecture,
            accelerator,
            argv::Emulation {
                threads: argv::EmulationThreads::One,
                cx16: true,
            },
        ))
        .args(firmware::exit_device(architecture))
        .arg("-bios")
        .arg(image.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Dropped at the limit, it is killed by its number and reaped.
        .kill_on_drop(true);
    match tokio::time::timeout(limit, finish(command)).await {
        Err(_) => Verdict::Unusable {
            reason: format!(
                "a test program did not end within {} s",
                limit.as_secs_f32()
            ),
            by_time: true,
        },
        Ok(Err(error)) => Verdict::unusable(format!("QEMU could not be started: {error}")),
        Ok(Ok((status, output))) => judge(status, &output, firmware::success(architecture)),
    }
}

async fn finish(mut command: tokio::process::Command) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = command.spawn()?;
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(OUTPUT_LIMIT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?, output))
}

fn judge(status: ExitStatus, output: &[u8], success: i32) -> Verdict {
    if status.code() == Some(success) {
        return Verdict::Usable;
    }
    let lines = tidy(output);
    // An assertion's text says less to a user than the error before it.
    let said = lines
        .iter()
        .find(|line| line.contains("error"))
        .or(lines.last())
        .map(|line| format!(", saying `{line}`"))
        .unwrap_or_default();
    let how = match (status.code(), signal(status)) {
        (Some(0), _) => "its processor failed".to_owned(),
        (Some(code), _) => format!("QEMU gave up with exit code {code}"),
        (None, Some(signal)) => format!("QEMU was ended by signal {signal}"),
        (None, None) => "QEMU gave up".to_owned(),
    };
    Verdict::unusable(format!("{how}{said}"))
}

fn write_image(architecture: Architecture) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("machine-probe-")
        .suffix(".bin")
        .tempfile()?;
    file.write_all(&firmware::image(architecture))?;
    file.flush()?;
    Ok(file)
}
