//! Windows has neither limit.

use std::io;

/// Nothing to raise.
pub fn raise_open_files() -> io::Result<()> {
    Ok(())
}

/// There is no limit.
pub fn most_open_files() -> Option<u64> {
    None
}

/// Nothing to forbid: crash dumps are the system's to configure.
pub fn no_core_files() -> io::Result<()> {
    Ok(())
}
