//! The same arguments to podman's own client and to this program, each in a home of its own: the same standard output,
//! exit code, first line of standard error, and connections file. No guest is booted.
//!
//! What may differ is in a list, and each entry names the line of docs/compat.md that tells users. An entry that does
//! not differ any more fails the test.

mod compare;
mod connections;
mod machines;
mod together;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = connections::trials();
    trials.extend(machines::trials());
    trials.extend(together::trials());
    trials
}
