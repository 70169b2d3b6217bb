//! A stand-in for `vfkit` and `krunkit` on hosts that cannot have them, told apart by the name under which it is started.
//!
//! It takes the command line that their documentation describes (doc/usage.md of crc-org/vfkit, docs/usage.md of
//! containers/krunkit) and nothing else, offers their REST service and the unix sockets of their vsock device, and has a
//! guest: firmware that wants a disk, an Ignition that fetches its configuration from vsock port 1024 at the first boot, and
//! the agent off the seed disk as a process, with small servers as its engines. README.md says what it can be told to do
//! wrong.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod linux;

fn main() -> std::process::ExitCode {
    linux::main()
}
