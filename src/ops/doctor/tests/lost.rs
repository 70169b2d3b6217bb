//! Files that a machine or the host has lost: what is made anew, and what the user is told to do.

use machine_protocol::secret::Secret;
use machine_provisioning::keys;

use super::super::host::judge_agent;
use super::facts::facts_of_a_sound_one;
use super::*;
use crate::agent::AgentError;

/// What is made anew is what `init` made, but for the secret.
#[tokio::test]
async fn lost_files_are_made_anew_out_of_what_is_left() {
    let home = Home::new();
    let machine = home.make("m");
    let files = &machine.files;
    let client_key = keys::generate("machine m").unwrap();
    let host_key = keys::generate("machine m").unwrap();
    fs_err::write(files.ssh_client_key(), &client_key.private).unwrap();
    fs_err::write(files.ssh_host_key(), &host_key.private).unwrap();
    for lost in [files.secret(), files.known_hosts(), files.ignition()] {
        fs_err::remove_file(lost).unwrap();
    }
    assert_eq!(home.wrong("m").await, [("missing-file", true); 3]);
    let found = home.found(true).await;
    for one in of(&found, "missing-file") {
        assert!(matches!(one.mending, Mending::Done(_)), "{one:#?}");
    }
    assert_eq!(home.wrong("m").await, []);
    let read = |path| fs_err::read_to_string(path).unwrap();
    let secret = read(files.secret());
    assert!(secret.ends_with('\n'));
    Secret::from_hex(&secret).unwrap();
    let known = read(files.known_hosts());
    let public = host_key.public.strip_suffix(" machine m").unwrap();
    assert_eq!(known, format!("m {public}\n"));
    let ignition = read(files.ignition());
    assert!(ignition.contains(&client_key.public), "{ignition}");

    // A machine that runs has the secret of its start.
    fs_err::remove_file(files.secret()).unwrap();
    let found = home.found(false).await;
    let mut finding = only(&found, "missing-file").clone();
    let held = FileLock::try_acquire(&files.run_lock()).unwrap();
    fix::mend(&mut finding, &home.premises).await;
    assert!(matches!(&finding.mending, Mending::Failed(why) if why.contains("started")));
    drop(held);
    // Somebody has put it back.
    finding.mending = Mending::Offered(Remedy::Remake(Lost::Secret));
    fs_err::write(files.secret(), &secret).unwrap();
    fix::mend(&mut finding, &home.premises).await;
    assert!(matches!(&finding.mending, Mending::Failed(_)));
    assert_eq!(read(files.secret()), secret);
}

#[test]
fn a_lost_file_has_a_hint_of_its_own() {
    let hints = |lost: SmallFile, status: Status| {
        let mut facts = facts_of_a_sound_one();
        facts.status = status;
        for (small, state) in &mut facts.small {
            if *small == lost {
                *state = FileState::Missing;
            }
        }
        let surroundings = Surroundings {
            connections: None,
            scheme: None,
            user: Some(7),
            network: NetworkFacts::default(),
        };
        let findings = machine::judge(&facts, &surroundings);
        only(&findings, "missing-file").hints.clone()
    };
    assert_eq!(
        hints(SmallFile::Secret, Status::Running),
        ["machine stop m; machine doctor --fix m"]
    );
    for made_anew in [
        SmallFile::Secret,
        SmallFile::KnownHosts,
        SmallFile::Ignition,
    ] {
        assert_eq!(
            hints(made_anew, Status::Stopped),
            ["machine doctor --fix m"],
            "{made_anew:?}"
        );
    }
    let key = hints(SmallFile::ClientKey, Status::Stopped);
    assert!(key[0].contains("ssh-keygen"), "{key:?}");
    assert!(key[1].contains("exec --user core m"), "{key:?}");
    assert!(key[2].contains("exec --user root m"), "{key:?}");
}

#[test]
fn the_agent_of_this_host() {
    let found = judge_agent(&Ok("/opt/machine-agent-x86_64".into()));
    assert_eq!(found.severity, Severity::Ok);
    let found = judge_agent(&Err(AgentError::Unfit {
        file: "machine-agent-x86_64".to_owned(),
        architecture: "x86_64",
    }));
    assert!(found.is_open_problem());
    assert!(found.why.contains("no Linux program"), "{found:?}");
    assert!(found.hints[0].contains("MACHINE_AGENT_DIR"), "{found:?}");
}
