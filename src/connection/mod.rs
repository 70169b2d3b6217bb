//! Podman's connections: the file `podman-connections.json`, which this program shares with podman (its specification
//! is section 2.5 of podman's behaviour), and the pair that each machine has in it.

pub mod error;
pub mod file;
pub mod list;
pub mod machine;
pub mod uri;

pub use error::ConnectionError;
pub use file::ConnectionsFile;
pub use list::{Connection, Connections};
