//! Command lines and what becomes of them; the texts of mistakes are podman's.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{CommandFactory, Parser as _};

use super::usage::{self, Usage};
use super::{Cli, Command, name_or_default};

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

/// The command of a good line.
fn parse(line: &str) -> Command {
    let cli = Cli::try_parse_from(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
    cli.command.expect("a command")
}

/// The text of a bad line.
fn mistake(line: &str) -> String {
    match Cli::try_parse_from(words(line)) {
        Ok(cli) => usage::check_names(&cli.command.expect("a command")).expect_err(line),
        Err(error) => match usage::explain(&error, &words(line)) {
            Usage::Mistake(text) => text,
            Usage::Answer(text) => panic!("{line}: {text}"),
        },
    }
}

#[test]
fn grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn flags_and_names_mix() {
    for line in [
        "machine init --image disk.qcow2 vm --cpus 2 --memory 4096 --disk-size 20 --rootful --now",
        "machine init vm --now --rootful=true --cpus=2 -m 4096 --disk-size=20 --image=disk.qcow2",
        "machine init --now --rootful -m4096 --cpus 1 --cpus 2 --disk-size 0x14 --image disk.qcow2 -- vm",
        "machine --log-level debug init --rootful --now=1 -m=4096 --cpus 2 --image disk.qcow2 --disk-size 20 vm",
    ] {
        let Command::Init(args) = parse(line) else {
            panic!("{line}");
        };
        assert_eq!(args.names, ["vm"], "{line}");
        assert_eq!(
            (args.setting.cpus, args.setting.memory, args.disk_size),
            (Some(2), Some(4096), Some(20)),
            "{line}"
        );
        assert!(args.setting.rootful == Some(true) && args.now, "{line}");
        assert_eq!(
            args.image.as_deref(),
            Some(std::ffi::OsStr::new("disk.qcow2")),
            "{line}"
        );
    }
}

#[test]
fn each_command_of_images_takes_its_own_number() {
    for line in [
        "machine image export stable file",
        "machine image import file --checksum sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "machine image verify a b",
        "machine image verify --all",
        "machine image pull --image-lock file",
    ] {
        usage::check_names(&parse(line)).expect(line);
    }
    for (line, expected) in [
        (
            "machine image export stable",
            "accepts 2 arg(s), received 1",
        ),
        ("machine image export a b c", "accepts 2 arg(s), received 3"),
        ("machine image import", "accepts 1 arg(s), received 0"),
        ("machine image import a b", "accepts 1 arg(s), received 2"),
        ("machine image verify", "only received 0, or `--all`"),
        ("machine image verify --all a", "either images or `--all`"),
    ] {
        let text = mistake(line);
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn flags_can_be_switched_off() {
    let Command::Init(args) = parse("machine init --rootful --now --rootful=false --now=F") else {
        panic!("not an init");
    };
    assert!(args.setting.rootful == Some(false) && !args.now);
    let Command::List(args) = parse("machine ls -nq --quiet=false --log-level=error") else {
        panic!("not a list");
    };
    assert!(args.noheading && !args.quiet);
}

/// Spec 1.4.1: every flag of podman's is known, whether it does something yet or not.
#[test]
fn all_of_podmans_flags_of_init() {
    let line = "machine init --cpus 1 --disk-size 1 --ignition-path f --image f --image-path f --import-native-ca \
        --memory 1 --now --playbook f --provider qemu --rootful --swap 1 --timezone local --tls-verify=false --usb d \
        --user-mode-networking --username u -v a -v b --volume-driver d vm";
    let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let Command::Init(args) = parse(&line) else {
        panic!("not an init");
    };
    assert_eq!(args.names, ["vm"]);
    assert_eq!(args.volume, ["a", "b"]);
    assert_eq!(
        (args.setting.swap, args.setting.import_native_ca),
        (Some(1), Some(true))
    );
    let Command::Init(args) = parse("machine init -s 7 --import-native-ca=false") else {
        panic!("not an init");
    };
    assert_eq!(
        (args.setting.swap, args.setting.import_native_ca),
        (Some(7), Some(false))
    );
}

#[test]
fn a_missing_or_empty_name_is_the_default() {
    assert_eq!(name_or_default(&[]), "podman-machine-default");
    assert_eq!(name_or_default(&[String::new()]), "podman-machine-default");
    assert_eq!(name_or_default(&["vm".to_owned()]), "vm");
    let Command::Start(args) = parse("machine start ") else {
        panic!("not a start");
    };
    assert_eq!(name_or_default(&args.names), "podman-machine-default");
}

#[test]
fn podman_desktops_command_lines() {
    let Command::Inspect(args) =
        parse("machine inspect --format {{.ConnectionInfo.PodmanSocket.Path}} vm")
    else {
        panic!("not an inspect");
    };
    assert_eq!(
        args.format.as_deref(),
        Some("{{.ConnectionInfo.PodmanSocket.Path}}")
    );
    assert_eq!(args.names, ["vm"]);
    let Command::Rm(args) = parse("machine rm -f vm") else {
        panic!("not an rm");
    };
    assert!(args.force);
    for line in [
        "machine list --format json",
        "machine start vm",
        "machine stop vm",
    ] {
        parse(line);
    }
}

#[test]
fn the_words_of_ssh_are_passed_as_they_are() {
    for (line, expected) in [
        ("machine ssh", &[][..]),
        ("machine ssh vm", &["vm"]),
        (
            "machine ssh vm ls -l --username x",
            &["vm", "ls", "-l", "--username", "x"],
        ),
        ("machine ssh vm -- ls -h", &["vm", "--", "ls", "-h"]),
        ("machine ssh -- vm ls", &["vm", "ls"]),
    ] {
        let Command::Ssh(args) = parse(line) else {
            panic!("{line}");
        };
        assert_eq!(args.words, expected, "{line}");
        assert_eq!(args.username, None, "{line}");
    }
    let Command::Ssh(args) = parse("machine ssh --username root vm -L 1:b:2") else {
        panic!("not an ssh");
    };
    assert_eq!(args.username.as_deref(), Some("root"));
    assert_eq!(args.words, ["vm", "-L", "1:b:2"]);
}

#[test]
fn version_ends_with_the_version() {
    let error = Cli::try_parse_from(words("machine --version")).expect_err("an answer");
    let Usage::Answer(text) = usage::explain(&error, &[]) else {
        panic!("no answer");
    };
    assert_eq!(
        text,
        concat!("machine version ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn mistakes_are_podmans() {
    let cases = [
        (
            "machine list --foo",
            "unknown flag: --foo\nSee 'machine list --help'",
        ),
        (
            "machine ls --foo=bar",
            "unknown flag: --foo\nSee 'machine list --help'",
        ),
        ("machine --foo", "unknown flag: --foo\nSee 'machine --help'"),
        (
            "machine rm -x",
            "unknown shorthand flag: 'x' in -x\nSee 'machine rm --help'",
        ),
        (
            "machine init --cpus",
            "flag needs an argument: --cpus\nSee 'machine init --help'",
        ),
        (
            "machine init --cpus abc",
            "invalid argument \"abc\" for \"--cpus\" flag: strconv.ParseUint: parsing \"abc\": invalid syntax\nSee 'machine init --help'",
        ),
        (
            "machine init -m -1",
            "invalid argument \"-1\" for \"-m, --memory\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax\nSee 'machine init --help'",
        ),
        (
            "machine init --disk-size 99999999999999999999",
            "invalid argument \"99999999999999999999\" for \"--disk-size\" flag: strconv.ParseUint: parsing \"99999999999999999999\": value out of range\nSee 'machine init --help'",
        ),
        (
            "machine start --quiet=maybe",
            "invalid argument \"maybe\" for \"-q, --quiet\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\nSee 'machine start --help'",
        ),
        (
            "machine list --log-level loud",
            "Log Level \"loud\" is not supported, choose from: trace, debug, info, warn, warning, error, fatal, panic\nSee 'machine list --help'",
        ),
        (
            "machine supervise a b",
            "unknown argument: b\nSee 'machine supervise --help'",
        ),
        ("machine start a b", "accepts at most 1 arg(s), received 2"),
        ("machine init a b c", "accepts at most 1 arg(s), received 3"),
        ("machine set a b", "accepts at most 1 arg(s), received 2"),
        (
            "machine restart a b",
            "accepts at most 1 arg(s), received 2",
        ),
        ("machine info a", "`machine info` takes no arguments"),
        ("machine cp a", "accepts 2 arg(s), received 1"),
        ("machine cp a b c", "accepts 2 arg(s), received 3"),
        (
            "machine ssh --foo vm",
            "unknown flag: --foo\nSee 'machine ssh --help'",
        ),
        (
            "machine set --cpus x",
            "invalid argument \"x\" for \"--cpus\" flag: strconv.ParseUint: parsing \"x\": invalid syntax\nSee 'machine set --help'",
        ),
        ("machine list a", "`machine list` takes no arguments"),
        (
            "machine system foo",
            "unrecognized command `machine system foo`\nTry 'machine system --help' for more information",
        ),
        (
            "machine system connection lst",
            "unrecognized command `machine system connection lst`\n\nDid you mean this?\n\tlist\n\nTry 'machine system connection --help' for more information",
        ),
        (
            "machine system connection ls --foo",
            "unknown flag: --foo\nSee 'machine system connection list --help'",
        ),
        (
            "machine system connection add -x",
            "unknown shorthand flag: 'x' in -x\nSee 'machine system connection add --help'",
        ),
        (
            "machine system connection add -p abc a ssh://h/p",
            "invalid argument \"abc\" for \"-p, --port\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax\nSee 'machine system connection add --help'",
        ),
        (
            "machine system connection add a",
            "accepts 2 arg(s), received 1",
        ),
        (
            "machine system connection rename a",
            "accepts 2 arg(s), received 1",
        ),
        (
            "machine system connection default",
            "accepts 1 arg(s), received 0",
        ),
        (
            "machine system connection remove a b",
            "accepts 1 arg(s), received 2",
        ),
        (
            "machine system connection ls x",
            "`machine system connection list` takes no arguments",
        ),
        (
            "machine foo",
            "unrecognized command `machine foo`\nTry 'machine --help' for more information",
        ),
        (
            "machine foo --bar",
            "unrecognized command `machine foo`\nTry 'machine --help' for more information",
        ),
        (
            "machine lst",
            "unrecognized command `machine lst`\n\nDid you mean this?\n\tlist\n\tset\n\tssh\n\nTry 'machine --help' for more information",
        ),
        (
            "machine st",
            "unrecognized command `machine st`\n\nDid you mean this?\n\tcp\n\tlist\n\trm\n\tset\n\tssh\n\tstart\n\tstop\n\nTry 'machine --help' for more information",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(mistake(line), expected, "{line}");
    }
}

#[test]
fn a_group_without_a_command_is_help_and_a_mistake() {
    for (line, expected) in [
        ("machine", "missing command 'machine COMMAND'"),
        ("machine system", "missing command 'machine system COMMAND'"),
        (
            "machine system connection",
            "missing command 'machine system connection COMMAND'",
        ),
    ] {
        let cli = Cli::try_parse_from(words(line)).expect(line);
        let (help, mistake) = usage::missing_command(cli.command.as_ref()).expect(line);
        assert_eq!(mistake, expected);
        assert!(help.contains("Commands:"), "{help}");
    }
    let command = parse("machine system connection ls");
    assert_eq!(usage::missing_command(Some(&command)), None);
}

/// All help in one text: what a change of the grammar does to it is seen in one place.
#[test]
fn help() {
    fn collect(command: &clap::Command, path: &str, lines: &mut Vec<String>) {
        lines.push(format!("{path} --help"));
        for command in command.get_subcommands() {
            collect(command, &format!("{path} {}", command.get_name()), lines);
        }
    }
    let mut lines = Vec::new();
    collect(&Cli::command(), "machine", &mut lines);
    let mut all = String::new();
    for line in lines {
        let error = Cli::try_parse_from(words(&line)).expect_err("an answer");
        let Usage::Answer(text) = usage::explain(&error, &words(&line)) else {
            panic!("{line}: no answer");
        };
        let text = anstream::adapter::strip_str(&text);
        writeln!(all, "$ {line}\n{text}").expect("a String takes everything");
    }
    for line in all.lines() {
        assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn what_follows_the_first_word_of_exec_is_the_programs() {
    let exec = |line: &str| match parse(line) {
        Command::Exec(args) => args,
        other => panic!("{line}: {other:?}"),
    };
    let args = exec("machine exec -u root -e A=b --env C -w /tmp -T vm ls -la --user x -- -T");
    assert_eq!(args.words, words("vm ls -la --user x -- -T"));
    assert_eq!(args.env, words("A=b C"));
    assert_eq!(args.user.as_deref(), Some("root"));
    assert_eq!(args.workdir.as_deref(), Some("/tmp"));
    assert!(args.no_tty && !args.tty);
    assert_eq!(exec("machine exec vm -- ls -l").words, words("vm -- ls -l"));
    assert_eq!(exec("machine exec -- vm -l").words, words("vm -l"));
    assert_eq!(exec("machine exec -it vm sh").words, words("vm sh"));
    let args = exec("machine exec -T -t vm --log-level x");
    assert!(args.tty && !args.no_tty);
    assert_eq!(args.words, words("vm --log-level x"));
    assert_eq!(
        mistake("machine exec -x ls"),
        "unknown shorthand flag: 'x' in -x\nSee 'machine exec --help'"
    );
}
