//! The process that runs one machine: it owns the VM and its link, serves the API socket, and answers for the machine.
//!
//! `machine start` starts it detached, as `machine supervise NAME`; there is one per running machine and no central
//! daemon. A single owner task (`owner`) decides by a state machine without IO ([`lifecycle`]); everything else
//! reports to it:
//!
//! ```text
//!  boot task ──┐  phases, warnings, the VM                  ┌─> event log, standard output (the starting command)
//!  VM events ──┤                                            ├─> clients of the control socket
//!  link ───────┼──> owner task ── Lifecycle::handle ──────> ┼─> VM: power button, quit, kill
//!  clients ────┤                                            ├─> link: power off, API socket open/closed
//!  timers ─────┘                                            └─> exit
//! ```
//!
//! The lock `run.lock` is held for the life of the process; its holder's death frees it. The VM is in a session of
//! its own and survives this process; [`record`] is how it is found again.

mod access;
mod audience;
mod boot;
pub mod client;
mod clock;
mod console;
pub mod control;
mod data_disk;
mod diagnosis;
mod edits;
mod enclosure;
pub mod events;
mod evidence;
mod first_boot;
pub mod lifecycle;
mod neighbours;
mod network;
mod owner;
mod quiet;
pub mod record;
mod room;
mod run;
mod server;
mod shares;
mod ssh_port;
mod vsock;

pub use audience::Starter;
pub use run::{SuperviseError, SuperviseRequest, supervise};
