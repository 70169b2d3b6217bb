//! What is done to the files below the program: disks that fail or are full, homes that cannot be written, links and
//! pipes where files should be, other users of the host. None of these needs a guest.

mod fault;
mod faults;
mod mount;
mod passthrough;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    faults::trials()
}
