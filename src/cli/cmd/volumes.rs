//! `--volume` of `init` and `set`.

use super::Session;
use crate::cli::error::CommandError;
use crate::cli::texts;
use crate::machine::Volume;
use crate::ops::volumes;

/// The folders that the words mean; what they leave open is told.
pub(super) fn settle(
    texts: &[String],
    by_default: bool,
    user: &str,
    session: &Session<'_>,
) -> Result<Vec<Volume>, CommandError> {
    // A relative path has no meaning without it, and the others need none.
    let directory = std::env::current_dir().unwrap_or_default();
    let env = |name: &str| std::env::var_os(name);
    let settled = volumes::settle(texts, by_default, user, &env, &directory)?;
    for option in &settled.unknown_options {
        session.printer.stdout(&texts::unknown_option(option));
    }
    for notice in &settled.notices {
        session.printer.stderr(&texts::notice(notice));
    }
    Ok(settled.volumes)
}
