//! Where virtiofsd is, and whether it can do what is needed of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use machine_host::program;

use crate::machine::deadlines;
use crate::provider::ShareWay;

/// The program's name.
const PROGRAM: &str = "virtiofsd";
/// Where distributions put it, who have it in no `PATH`.
const USUAL: [&str; 2] = ["/usr/libexec", "/usr/lib"];
/// Where QEMU's own of before 8.0 lies, which only root can use; it is looked at last.
const OLD: &str = "/usr/lib/qemu";
/// Options of 1.13, without which folders could not be had as they are wanted.
const NEEDED: [&str; 4] = ["--uid-map", "--translate-uid", "--readonly", "--fd"];

/// How folders are shared, and where that is not the best way, why and how to have a better one.
pub(in crate::provider::qemu) async fn choose(
    directories: &[PathBuf],
) -> (ShareWay, Option<(String, String)>) {
    let mut unfit = None;
    for candidate in candidates(directories) {
        if can_do_it(&candidate).await {
            return (ShareWay::Virtiofs(candidate), None);
        }
        unfit.get_or_insert(candidate);
    }
    let what = match unfit {
        Some(unfit) => format!("`{}` is too old", unfit.display()),
        None => format!("`{PROGRAM}` was not found"),
    };
    let why = format!(
        "{what}, so folders are shared by 9p: it is slower, files in them cannot be given to other users, and their \
         option `watch` does little"
    );
    let mend = format!(
        "version 1.13 or later is needed: the package `{PROGRAM}` of your distribution, or `cargo install {PROGRAM}`"
    );
    (ShareWay::NineP, Some((why, mend)))
}

/// The programs of the name, best first.
fn candidates(directories: &[PathBuf]) -> Vec<PathBuf> {
    let at = |directory: &Path| program::find(&directory.join(PROGRAM).to_string_lossy(), &[]);
    let first = directories.iter().map(PathBuf::as_path);
    let usual = USUAL.iter().map(Path::new);
    let mut found: Vec<PathBuf> = first.chain(usual).filter_map(at).collect();
    found.extend(program::find(PROGRAM, &[]));
    found.extend(at(Path::new(OLD)));
    found
}

/// Its help names the options.
async fn can_do_it(candidate: &Path) -> bool {
    let mut command = tokio::process::Command::new(candidate);
    command
        .arg("--help")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let said = tokio::time::timeout(deadlines::PROBE.limit, command.output()).await;
    match said {
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stdout);
            NEEDED.iter().all(|option| has_option(&text, option))
        }
        Ok(Err(error)) => {
            tracing::info!(%error, candidate = %candidate.display(), "It cannot be run");
            false
        }
        Err(_) => false,
    }
}

fn has_option(help: &str, option: &str) -> bool {
    help.split(|letter: char| letter.is_whitespace() || letter == '=' || letter == ',')
        .any(|word| word == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_whole_words() {
        let help = "      --fd <FD>\n          File\n      --uid-map=<UID_MAP>\n -x, --readonly\n";
        for option in ["--fd", "--uid-map", "--readonly"] {
            assert!(has_option(help, option), "{option}");
        }
        for option in ["--uid", "--f", "--translate-uid"] {
            assert!(!has_option(help, option), "{option}");
        }
    }
}
