//! What the managers of services of Unix systems have in common.

pub(super) mod environment;
