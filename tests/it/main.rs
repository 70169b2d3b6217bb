//! Integration tests of the host side that need no guest.
