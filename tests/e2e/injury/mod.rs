//! What is done to the files below the program: disks that fail or are full, homes that cannot be written, links and
//! pipes where files should be, other users of the host. One of these needs a guest, the stub.

mod fault;
mod faults;
mod links;
mod mount;
mod passthrough;
mod read_only;
mod secrets;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = faults::trials();
    trials.extend(read_only::trials());
    trials.extend(links::trials());
    trials.extend(secrets::trials());
    trials
}
