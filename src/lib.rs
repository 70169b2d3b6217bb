pub mod cli;
pub mod forward;
pub mod link;
pub mod machine;
pub mod ops;
pub mod provider;
pub mod store;
pub mod supervisor;
