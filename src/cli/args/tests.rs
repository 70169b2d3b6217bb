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
            (args.cpus, args.memory, args.disk_size),
            (Some(2), Some(4096), Some(20)),
            "{line}"
        );
        assert!(args.rootful && args.now, "{line}");
        assert_eq!(
            args.image.as_deref(),
            Some(std::path::Path::new("disk.qcow2")),
            "{line}"
        );
    }
}

#[test]
fn flags_can_be_switched_off() {
    let Command::Init(args) = parse("machine init --rootful --now --rootful=false --now=F") else {
        panic!("not an init");
    };
    assert!(!args.rootful && !args.now);
    let Command::List(args) = parse("machine ls -nq --quiet=false --log-level=error") else {
        panic!("not a list");
    };
    assert!(args.noheading && !args.quiet);
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
        ("machine list a", "`machine list` takes no arguments"),
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
            "unrecognized command `machine lst`\n\nDid you mean this?\n\tlist\n\nTry 'machine --help' for more information",
        ),
        (
            "machine st",
            "unrecognized command `machine st`\n\nDid you mean this?\n\tlist\n\trm\n\tstart\n\tstop\n\nTry 'machine --help' for more information",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(mistake(line), expected, "{line}");
    }
}

/// All help in one text: what a change of the grammar does to it is seen in one place.
#[test]
fn help() {
    let mut lines = vec!["machine --help".to_owned()];
    for command in Cli::command().get_subcommands() {
        lines.push(format!("machine {} --help", command.get_name()));
    }
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
