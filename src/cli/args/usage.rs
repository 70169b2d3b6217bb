//! clap's errors in the words of podman's command line.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::{Cli, Command, PROGRAM};

/// Edits apart that a mistyped command may be from the one that is suggested.
const SUGGESTION_DISTANCE: usize = 2;

/// What to print for a command line that clap did not take as a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// Help or version: for standard output, a success.
    Answer(String),
    /// A mistake: the text behind `Error: `.
    Mistake(String),
}

/// Explains clap's `error` about the command line `words`, the program's name included.
pub fn explain(error: &Error, words: &[OsString]) -> Usage {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Usage::Answer(error.render().ansi().to_string())
        }
        ErrorKind::InvalidSubcommand => Usage::Mistake(unknown_command(&context(
            error,
            ContextKind::InvalidSubcommand,
        ))),
        kind => {
            let path = match command_of(words) {
                Some(command) => format!("{PROGRAM} {command}"),
                None => PROGRAM.to_owned(),
            };
            Usage::Mistake(format!(
                "{}\nSee '{path} --help'",
                flag_mistake(kind, error)
            ))
        }
    }
}

/// The help that a command line without a command gets, on standard output.
pub fn help() -> String {
    Cli::command().render_help().ansi().to_string()
}

/// The mistake of giving no command.
pub fn missing_command() -> String {
    format!("missing command '{PROGRAM} COMMAND'")
}

/// Refuses more names than a command takes.
pub fn check_names(command: &Command) -> Result<(), String> {
    let (names, most) = match command {
        Command::Init(args) => (&args.names, 1),
        Command::Start(args) => (&args.names, 1),
        Command::Stop(args) => (&args.names, 1),
        Command::Rm(args) => (&args.names, 1),
        Command::List(args) => {
            if !args.names.is_empty() {
                return Err(format!("`{PROGRAM} list` takes no arguments"));
            }
            return Ok(());
        }
        Command::Inspect(_) | Command::Supervise(_) => return Ok(()),
    };
    if names.len() > most {
        let received = names.len();
        return Err(format!(
            "accepts at most {most} arg(s), received {received}"
        ));
    }
    Ok(())
}

fn context(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn flag_mistake(kind: ErrorKind, error: &Error) -> String {
    // clap writes an argument as `-m, --memory <MIB>`; podman's texts want its flags.
    let argument = context(error, ContextKind::InvalidArg);
    let value = context(error, ContextKind::InvalidValue);
    match kind {
        ErrorKind::UnknownArgument => unknown_flag(&argument),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("flag needs an argument: {}", long_flag(&argument))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match error.source() {
            Some(reason) if reason.to_string().starts_with("Log Level") => reason.to_string(),
            Some(reason) => {
                format!(
                    r#"invalid argument "{value}" for "{}" flag: {reason}"#,
                    flags(&argument)
                )
            }
            None => format!(
                r#"invalid argument "{value}" for "{}" flag"#,
                flags(&argument)
            ),
        },
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("flag needs an argument: {}", long_flag(&argument))
        }
        ErrorKind::NoEquals => format!("flag needs an argument: {}", long_flag(&argument)),
        ErrorKind::MissingRequiredArgument => "accepts 1 arg(s), received 0".to_owned(),
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    }
}

fn unknown_flag(argument: &str) -> String {
    if argument.starts_with("--") {
        let name = argument.split('=').next().unwrap_or(argument);
        return format!("unknown flag: {name}");
    }
    if !argument.starts_with('-') {
        return format!("unknown argument: {argument}");
    }
    let letter = argument
        .trim_start_matches('-')
        .chars()
        .next()
        .unwrap_or('-');
    format!("unknown shorthand flag: '{letter}' in {argument}")
}

/// `--memory <MIB>` and `--now[=<BOOL>]` without the value.
fn long_flag(argument: &str) -> &str {
    argument.split([' ', '[', '=']).next().unwrap_or(argument)
}

/// The option as podman's usage writes it, `-m, --memory`.
fn flags(argument: &str) -> String {
    let long = long_flag(argument);
    let root = Cli::command();
    let short = root
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .chain(root.get_arguments())
        .filter(|known| {
            known
                .get_long()
                .is_some_and(|name| long.strip_prefix("--") == Some(name))
        })
        .find_map(clap::Arg::get_short);
    match short {
        Some(short) => format!("-{short}, {long}"),
        None => long.to_owned(),
    }
}

/// The command that `words` name, by its first name.
fn command_of(words: &[OsString]) -> Option<String> {
    let mut words = words.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if word == "--log-level" {
            words.next();
        } else if !word.starts_with('-') {
            let root = Cli::command();
            return root
                .find_subcommand(word.as_ref())
                .map(|command| command.get_name().to_owned());
        }
    }
    None
}

fn unknown_command(word: &str) -> String {
    let known = Cli::command();
    let mut near: Vec<&str> = known
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(clap::Command::get_name)
        .filter(|name| {
            name.starts_with(&word.to_lowercase()) || distance(word, name) <= SUGGESTION_DISTANCE
        })
        .collect();
    near.sort_unstable();
    let suggestion = if near.is_empty() {
        String::new()
    } else {
        format!("\nDid you mean this?\n\t{}\n\n", near.join("\n\t"))
    };
    format!(
        "unrecognized command `{PROGRAM} {word}`\n{suggestion}Try '{PROGRAM} --help' for more information"
    )
}

/// Levenshtein's distance, letters of either case being equal.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
