//! Windows has neither limit.

use std::io;

/// Nothing to raise.
#[expect(clippy::unnecessary_wraps, reason = "one signature on every host")]
pub fn raise_open_files() -> io::Result<()> {
    Ok(())
}

/// Nothing to forbid: crash dumps are the system's to configure.
#[expect(clippy::unnecessary_wraps, reason = "one signature on every host")]
pub fn no_core_files() -> io::Result<()> {
    Ok(())
}
