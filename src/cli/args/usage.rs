//! clap's errors in the words of podman's command line.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::{Cli, Command, PROGRAM, image, port, system};
use crate::machine::nearest::distance;

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

/// A place in the grammar: the program, or one of its commands.
struct Place {
    /// The words that lead there, as `machine system connection`.
    path: String,
    command: clap::Command,
}

impl Place {
    fn root() -> Self {
        Self {
            path: PROGRAM.to_owned(),
            command: Cli::command(),
        }
    }

    /// The command of this name or alias.
    fn child(&self, word: &str) -> Option<Self> {
        let command = self.command.find_subcommand(word)?.clone();
        Some(Self {
            path: format!("{} {}", self.path, command.get_name()),
            command,
        })
    }

    /// The command that the words of a command line name, as far as they name one.
    fn of(words: &[OsString]) -> Self {
        let mut place = Self::root();
        let mut words = words.iter().skip(1).map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            if word == "--log-level" {
                words.next();
            } else if !word.starts_with('-') {
                match place.child(&word) {
                    Some(child) => place = child,
                    None => break,
                }
            }
        }
        place
    }

    /// Whether it has commands of its own.
    fn is_group(&self) -> bool {
        self.command.has_subcommands()
    }
}

/// Explains clap's `error` about the command line `words`, the program's name included.
pub fn explain(error: &Error, words: &[OsString]) -> Usage {
    let place = Place::of(words);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Usage::Answer(error.render().ansi().to_string())
        }
        ErrorKind::InvalidSubcommand => Usage::Mistake(unknown_command(
            &place,
            &context(error, ContextKind::InvalidSubcommand),
        )),
        // A group takes no words but its commands.
        ErrorKind::UnknownArgument
            if place.is_group() && !context(error, ContextKind::InvalidArg).starts_with('-') =>
        {
            let word = context(error, ContextKind::InvalidArg);
            Usage::Mistake(unknown_command(&place, &word))
        }
        kind => Usage::Mistake(format!(
            "{}\nSee '{} --help'",
            flag_mistake(kind, error, &place),
            place.path
        )),
    }
}

/// What a command line gets that stops at a group of commands: help on standard output, and the mistake.
pub fn missing_command(command: Option<&Command>) -> Option<(String, String)> {
    let words: &[&str] = match command {
        None => &[],
        Some(Command::System(args)) => system::missing_command(args)?,
        Some(Command::Port(args)) => port::missing_command(args)?,
        Some(Command::Image(args)) => image::missing_command(args)?,
        Some(_) => return None,
    };
    let mut place = Place::root();
    for word in words {
        place = place.child(word)?;
    }
    let help = place.command.render_help().ansi().to_string();
    Some((help, format!("missing command '{} COMMAND'", place.path)))
}

/// Refuses more names than a command takes.
pub fn check_names(command: &Command) -> Result<(), String> {
    let (names, most) = match command {
        Command::Init(args) => (&args.names, 1),
        Command::Start(args) => (&args.names, 1),
        Command::Stop(args) => (&args.names, 1),
        Command::Rm(args) => (&args.names, 1),
        Command::Set(args) => (&args.names, 1),
        Command::Recreate(args) => (&args.names, 1),
        Command::Restart(args) => (&args.names, 1),
        Command::List(args) => return no_names("list", &args.names),
        Command::Info(args) => return no_names("info", &args.names),
        Command::Selftest(args) => return no_names("selftest", &args.names),
        Command::Cp(args) if args.paths.len() != 2 => {
            let received = args.paths.len();
            return Err(format!("accepts 2 arg(s), received {received}"));
        }
        Command::Logs(args) => (&args.names, 1),
        Command::Inspect(_)
        | Command::Doctor(_)
        | Command::Supervise(_)
        | Command::Ssh(_)
        | Command::Exec(_)
        | Command::Events(_)
        | Command::Cp(_) => {
            return Ok(());
        }
        Command::System(args) => return system::check_words(args),
        Command::Port(args) => return port::check_words(args),
        Command::Image(args) => return image::check_words(args),
    };
    if names.len() > most {
        let received = names.len();
        return Err(format!(
            "accepts at most {most} arg(s), received {received}"
        ));
    }
    Ok(())
}

fn no_names(command: &str, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    Err(format!("`{PROGRAM} {command}` takes no arguments"))
}

fn context(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn flag_mistake(kind: ErrorKind, error: &Error, place: &Place) -> String {
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
                    flags(place, &argument)
                )
            }
            None => format!(
                r#"invalid argument "{value}" for "{}" flag"#,
                flags(place, &argument)
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
fn flags(place: &Place, argument: &str) -> String {
    let long = long_flag(argument);
    let root = Cli::command();
    let short = place
        .command
        .get_arguments()
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

fn unknown_command(place: &Place, word: &str) -> String {
    let path = &place.path;
    let mut near: Vec<&str> = place
        .command
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
        "unrecognized command `{path} {word}`\n{suggestion}Try '{path} --help' for more information"
    )
}
