//! `machine ssh`.

use super::Session;
use crate::cli::args::ssh::SshArgs;
use crate::cli::error::CommandError;
use crate::cli::{takeover, texts};
use crate::ops::adopt;
use crate::ops::ssh::{self, SshRequest};

pub(super) async fn run(args: &SshArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let request = SshRequest {
        user: args.username.as_deref(),
        words: &args.words,
    };
    let ssh = ssh::session(&session.store, request, adopt::probe(&session.store))?;
    if ssh.interactive {
        let text = texts::connecting(ssh.name.as_str());
        session.printer.stdout(&text);
    }
    takeover::by(ssh.invocation.command(), &session.interrupt).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    #[test]
    fn a_machine_that_does_not_run() {
        let bench = Bench::new();
        bench.make("vm");
        let args = SshArgs {
            username: None,
            words: vec!["vm".into()],
        };
        let (result, captured) = testing::run(&bench, "", async |session| {
            run(&args, session).await.map(drop)
        });
        assert_eq!(
            result,
            Err("Error: vm \"vm\" is not running\nhint: start it: machine start vm\n".to_owned())
        );
        assert_eq!(captured.stdout, "");
    }
}
