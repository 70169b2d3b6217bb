//! The guest's agent: a small static program, run as root by the guest's systemd from the seed disk.
//!
//! It opens the carrier to the host, proves that it knows the machine's secret and has the host prove the same, then
//! joins the host's streams to a short list of targets and reports what happens in the guest. It polls nothing.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod linux;

fn main() -> std::process::ExitCode {
    linux::main()
}
