//! One call of WSL: started without a window's input, with a deadline, its words bounded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::answer;
use super::argv::{self, Call};
use super::error::WslError;
use crate::link::CarrierProgram;
use crate::machine::deadlines::{self, Deadline};

/// More than any answer has.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The program, and what it is to find in its environment.
#[derive(Clone, Debug)]
pub struct Wsl {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Wsl {
    /// The program at this path, with these variables beside those of this process.
    pub fn new(program: &Path, environment: &[(OsString, OsString)]) -> Self {
        Self {
            program: program.to_owned(),
            environment: environment.to_vec(),
        }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The program of this call as what carries the link.
    pub fn carrier(&self, call: &Call) -> CarrierProgram {
        let utf8 = std::iter::once(("WSL_UTF8".into(), "1".into()));
        CarrierProgram {
            program: self.program.clone(),
            arguments: call.arguments.clone(),
            environment: utf8.chain(self.environment.iter().cloned()).collect(),
        }
    }

    /// A command for this call, with nothing said about its streams.
    pub fn command(&self, call: &Call) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&call.arguments)
            .env("WSL_UTF8", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Its version, which will do.
    pub async fn version(&self) -> Result<String, WslError> {
        match self
            .call(&argv::version(), "", &deadlines::WSL_ANSWER)
            .await
        {
            Ok(said) => answer::check_version(answer::version(&said)),
            // One that does not know the question.
            Err(WslError::Failed { code: None, .. }) => answer::check_version(None),
            Err(error) => Err(error),
        }
    }

    /// Fails where WSL knows already that it can start no virtual machine. It looks at Windows' part alone: what the
    /// processor can shows when one starts.
    pub async fn check_platform(&self) -> Result<(), WslError> {
        let call = argv::status();
        let asked = self.hear(&call, "", &deadlines::WSL_ANSWER);
        // What it thinks of its host is among its errors, though it is none.
        let asked = asked.await.map(|(out, err)| out + &err);
        match asked {
            Ok(said) if answer::is_platform_off(&said) => Err(WslError::VirtualizationOff),
            // A question that it does not answer says nothing about it.
            Ok(_) | Err(WslError::Failed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The names of all distributions, and of halves of them.
    pub async fn registered(&self) -> Result<Vec<String>, WslError> {
        self.list(&argv::registered(), "").await
    }

    /// Whether there is a distribution of this name, or half of one.
    pub async fn is_registered(&self, distro: &str) -> Result<bool, WslError> {
        Ok(answer::has(&self.registered().await?, distro))
    }

    /// Whether it runs.
    pub async fn is_running(&self, distro: &str) -> Result<bool, WslError> {
        let running = self.list(&argv::running(), distro).await?;
        Ok(answer::has(&running, distro))
    }

    async fn list(&self, call: &Call, distro: &str) -> Result<Vec<String>, WslError> {
        let said = self.call(call, distro, &deadlines::WSL_ANSWER).await?;
        Ok(answer::names(&said))
    }

    /// Makes a distribution from a tar file, with its disk in the directory `place`.
    pub async fn import(&self, distro: &str, place: &Path, tar: &Path) -> Result<(), WslError> {
        let call = argv::import(distro, place, tar);
        self.call(&call, distro, &deadlines::WSL_IMPORT)
            .await
            .map(drop)
    }

    /// Has the guest of a distribution power itself off; what it does about it is not waited for.
    pub async fn power_off(&self, distro: &str) -> Result<(), WslError> {
        let call = argv::power_off(distro);
        self.call(&call, distro, &deadlines::WSL_END)
            .await
            .map(drop)
    }

    /// Ends a distribution at once. One that does not run is a success.
    pub async fn terminate(&self, distro: &str) -> Result<(), WslError> {
        let call = argv::terminate(distro);
        self.call(&call, distro, &deadlines::WSL_END)
            .await
            .map(drop)
    }

    /// Removes a distribution with all that is in it. One that is not there is a success.
    pub async fn unregister(&self, distro: &str) -> Result<(), WslError> {
        let call = argv::unregister(distro);
        match self.call(&call, distro, &deadlines::WSL_END).await {
            Ok(_) | Err(WslError::Unknown(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Runs a call to its end. One that takes too long is ended, as is one whose future is dropped.
    async fn call(
        &self,
        call: &Call,
        distro: &str,
        deadline: &Deadline,
    ) -> Result<String, WslError> {
        let said = self.hear(call, distro, deadline).await;
        said.map(|(out, _)| out)
    }

    /// The same, with what is in the stream of errors.
    async fn hear(
        &self,
        call: &Call,
        distro: &str,
        deadline: &Deadline,
    ) -> Result<(String, String), WslError> {
        let mut command = Command::from(self.command(call));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let spawn = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => WslError::NotInstalled,
            _ => WslError::Spawn {
                program: self.program.clone(),
                source,
            },
        };
        let ended = async {
            let mut child = command.spawn()?;
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (out, err) = tokio::join!(words(out), words(err));
            Ok((child.wait().await?, out, err))
        };
        let limit = deadline.limit;
        let ended = tokio::time::timeout(limit, ended).await;
        let (status, out, err) = ended
            .map_err(|_| WslError::Silent {
                call: call.name.to_owned(),
                seconds: limit.as_secs(),
            })?
            .map_err(spawn)?;
        if status.success() {
            return Ok((out, err));
        }
        // Versions differ in where they write their errors.
        Err(answer::failure(call.name, distro, &format!("{out}\n{err}")))
    }
}

async fn words(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut stream = stream.take(ANSWER_LIMIT);
        // A stream that breaks has said what it said.
        let _ = stream.read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await;
    }
    answer::decode(&bytes)
}
