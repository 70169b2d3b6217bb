//! WSL, as far as one talks to it: a program that is asked, and distributions that it keeps.
//!
//! Pure: [`argv`] (what is asked), [`answer`] (what it says, in whatever language and encoding), and the decision what to
//! do with a distribution that is or is not there ([`distro`]). Doing: [`run`], one call with its deadline.
//!
//! This is not a provider yet: nothing starts a machine with it, and the registry does not know it.

pub mod answer;
pub mod argv;
pub mod distro;
mod error;
pub mod run;

pub use error::WslError;
pub use run::Wsl;
