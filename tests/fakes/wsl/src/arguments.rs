//! The command line, by the documented grammar and by nothing else.

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Version,
    Status,
    List(List),
    SetDefaultVersion(u8),
    Import(Import),
    Unregister { name: String, force: bool },
    Terminate { name: String },
    Run(Run),
}

/// `--list`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) all: bool,
    pub(crate) running: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
}

/// `--import`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) place: String,
    /// `-` is the standard input.
    pub(crate) file: String,
    pub(crate) version: Option<u8>,
}

/// A program in a distribution.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) distro: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) program: Vec<String>,
}

/// A command line that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Unknown(String),
    NoValue(String),
    Version,
    Usage,
    /// WSL would do it, and no test may have it done.
    Forbidden(&'static str),
}

/// Options that reach beyond one distribution, or that change the host.
const FORBIDDEN: &[(&str, &str)] = &[
    ("--shutdown", "it ends the distributions of everybody"),
    ("--install", "only the user installs"),
    ("--update", "only the user updates"),
    ("--uninstall", "only the user uninstalls"),
    ("--set-default", "the default distribution is the user's"),
    ("-s", "the default distribution is the user's"),
    ("--mount", "disks are the user's"),
    ("--unmount", "disks are the user's"),
    ("--debug-shell", "nobody needs it"),
    ("--system", "nobody needs it"),
    ("--export", "nothing exports yet"),
    ("--import-in-place", "nothing imports disks"),
    ("--manage", "nothing manages yet"),
    ("--set-version", "versions are chosen by the import"),
];

pub(crate) fn parse(words: &[String]) -> Result<Call, Fault> {
    let mut words = words.iter().map(String::as_str).peekable();
    let mut run = Run::default();
    let mut directory = false;
    while let Some(word) = words.next() {
        let mut value = || match words.next() {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Fault::NoValue(word.to_owned())),
        };
        match word {
            "-d" | "--distribution" if run.distro.is_none() => run.distro = Some(value()?),
            "-u" | "--user" => run.user = Some(value()?),
            "--cd" => {
                if value()? != "/" {
                    return Err(Fault::Forbidden(
                        "no other directory is sure to be in the distribution",
                    ));
                }
                directory = true;
            }
            "-e" | "--exec" => {
                run.program = words.map(str::to_owned).collect();
                if run.program.is_empty() {
                    return Err(Fault::Usage);
                }
                if !directory {
                    return Err(Fault::Forbidden(
                        "without --cd the program begins in a directory of Windows",
                    ));
                }
                return Ok(Call::Run(run));
            }
            // Everything else is asked of WSL itself, and by its own.
            _ if run != Run::default() || directory => return Err(Fault::Unknown(word.to_owned())),
            "-v" | "--version" => return alone(words, Call::Version),
            "--status" => return alone(words, Call::Status),
            "-l" | "--list" => return list(words),
            "--import" => return import(words),
            "--set-default-version" => {
                let version = version(&value()?)?;
                return alone(words, Call::SetDefaultVersion(version));
            }
            "-t" | "--terminate" => {
                let name = value()?;
                return alone(words, Call::Terminate { name });
            }
            "--unregister" => {
                let name = value()?;
                let force = words.next_if_eq(&"--force").is_some();
                return alone(words, Call::Unregister { name, force });
            }
            _ => {
                let forbidden = FORBIDDEN.iter().find(|(option, _)| *option == word);
                return Err(match forbidden {
                    Some((_, why)) => Fault::Forbidden(why),
                    None if word.starts_with('-') => Fault::Unknown(word.to_owned()),
                    None => Fault::Forbidden("without --exec a shell would read the words"),
                });
            }
        }
    }
    Err(Fault::Forbidden("an interactive shell"))
}

/// The call, where nothing follows it.
fn alone<'a>(mut rest: impl Iterator<Item = &'a str>, call: Call) -> Result<Call, Fault> {
    match rest.next() {
        None => Ok(call),
        Some(word) => Err(Fault::Unknown(word.to_owned())),
    }
}

fn version(text: &str) -> Result<u8, Fault> {
    match text {
        "1" => Ok(1),
        "2" => Ok(2),
        _ => Err(Fault::Version),
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> Result<Call, Fault> {
    let mut list = List::default();
    for word in words {
        match word {
            "--all" => list.all = true,
            "--running" => list.running = true,
            "-q" | "--quiet" => list.quiet = true,
            "-v" | "--verbose" => list.verbose = true,
            "-o" | "--online" => return Err(Fault::Forbidden("it asks the network")),
            _ => return Err(Fault::Unknown(word.to_owned())),
        }
    }
    if (list.quiet && list.verbose) || (list.all && list.running) {
        return Err(Fault::Usage);
    }
    Ok(Call::List(list))
}

fn import<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Call, Fault> {
    let (mut places, mut wanted) = (Vec::new(), None);
    while let Some(word) = words.next() {
        match word {
            "--version" => {
                let text = words
                    .next()
                    .ok_or_else(|| Fault::NoValue(word.to_owned()))?;
                wanted = Some(version(text)?);
            }
            "--vhd" => return Err(Fault::Forbidden("nothing imports disks")),
            "-" => places.push(word.to_owned()),
            _ if word.starts_with('-') => return Err(Fault::Unknown(word.to_owned())),
            _ => places.push(word.to_owned()),
        }
    }
    let Ok([name, place, file]) = <[String; 3]>::try_from(places) else {
        return Err(Fault::Usage);
    };
    Ok(Call::Import(Import {
        name,
        place,
        file,
        version: wanted,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Call, Fault> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn the_documented_forms() {
        assert_eq!(parsed("--version"), Ok(Call::Version));
        assert_eq!(
            parsed("--list --running --quiet"),
            Ok(Call::List(List {
                running: true,
                quiet: true,
                ..List::default()
            }))
        );
        let import = Import {
            name: "a".to_owned(),
            place: "/p".to_owned(),
            file: "-".to_owned(),
            version: Some(2),
        };
        assert_eq!(
            parsed("--import a /p - --version 2"),
            Ok(Call::Import(import))
        );
        assert_eq!(
            parsed("-d a -u root --cd / --exec /bin/sh -c x"),
            Ok(Call::Run(Run {
                distro: Some("a".to_owned()),
                user: Some("root".to_owned()),
                program: ["/bin/sh", "-c", "x"].map(str::to_owned).to_vec(),
            }))
        );
        assert_eq!(
            parsed("--unregister a --force"),
            Ok(Call::Unregister {
                name: "a".to_owned(),
                force: true
            })
        );
    }

    #[test]
    fn everything_else_is_refused() {
        let unknown = |word: &str| Err(Fault::Unknown(word.to_owned()));
        assert_eq!(parsed("--terminated a"), unknown("--terminated"));
        assert_eq!(parsed("--terminate a b"), unknown("b"));
        assert_eq!(parsed("--list --json"), unknown("--json"));
        assert_eq!(parsed("-d a --list"), unknown("--list"));
        assert_eq!(parsed("--import a b c --vhdx"), unknown("--vhdx"));
        assert_eq!(parsed("--import a b"), Err(Fault::Usage));
        assert_eq!(parsed("--list --quiet --verbose"), Err(Fault::Usage));
        assert_eq!(parsed("--import a b c --version 3"), Err(Fault::Version));
        assert_eq!(
            parsed("--terminate"),
            Err(Fault::NoValue("--terminate".to_owned()))
        );
        for line in ["--shutdown", "--update", "bash", "-d a", "-d a --exec x"] {
            assert!(matches!(parsed(line), Err(Fault::Forbidden(_))), "{line}");
        }
    }
}
