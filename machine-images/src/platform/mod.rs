//! What the operating systems do differently with files; the same functions on each.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::clone;
#[cfg(target_os = "macos")]
pub(crate) use macos::clone;
#[cfg(unix)]
pub(crate) use unix::{
    create_private, free_bytes, is_null_device, make_read_only, next_data, not_a_file,
    occupied_bytes, open_private, sync_parent,
};
#[cfg(windows)]
pub(crate) use windows::{
    clone, create_private, free_bytes, is_null_device, make_read_only, next_data, not_a_file,
    occupied_bytes, open_private, sync_parent,
};
