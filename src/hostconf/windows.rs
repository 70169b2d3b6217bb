//! Windows: the administrator's files below `%ProgramData%`, the user's below `%APPDATA%`.

use super::locations::Convention;

pub(super) const CONVENTION: Convention = Convention::Windows;
