//! The differences between the operating systems, behind functions of the same names.
//!
//! This is the only place on the host's side where `unsafe` is allowed, each use with its reason.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
pub(crate) mod ports;
pub(crate) mod routes;
#[cfg(unix)]
mod unix;
pub(crate) mod vsock;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::{boot_id, ended, kill, memory_bytes, process_start, terminate};
#[cfg(target_os = "macos")]
pub(crate) use macos::{boot_id, ended, kill, memory_bytes, process_start, terminate};
#[cfg(unix)]
pub(crate) use unix::{
    create_private_directories, effective_root, free_bytes, group_id, is_executable, is_socket,
    lock_record, make_private, mode, names_of_program, open_private, open_regular, open_shared,
    open_to_append, owner, persist, same_file, set_mode, spawn_detached, sync_directory,
    total_bytes, user_id,
};
#[cfg(windows)]
pub(crate) use windows::{
    SessionEnd, boot_id, create_private_directories, effective_root, ended, free_bytes, group_id,
    is_executable, is_socket, kill, lock_record, make_private, memory_bytes, mode,
    names_of_program, open_private, open_regular, open_shared, open_to_append, owner, persist,
    process_start, same_file, set_mode, spawn_detached, sync_directory, terminate, total_bytes,
    user_id,
};

/// The two conventions for a user's directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// Linux and macOS: XDG variables, else folders of the home directory.
    Xdg,
    /// Windows: the known folders.
    Windows,
}

/// Whose convention for directories holds here.
pub(crate) const PLATFORM: Platform = if cfg!(windows) {
    Platform::Windows
} else {
    Platform::Xdg
};
