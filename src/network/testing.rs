//! What tests of streams need: a link in memory, with a guest of the test's own at its other end.

use machine_protocol::link::{Hello, Link, Role, accept, connect};
use machine_protocol::secret::Secret;
use tokio::io::duplex;
use tokio::sync::Notify;

/// Both ends of a link: the host's and the guest's.
pub(crate) async fn linked() -> (Link, Link) {
    let secret = Secret::generate().expect("the system has random numbers");
    let hello = |role| Hello {
        role,
        secret: secret.clone(),
        build: "test".to_owned(),
        carrier: "pipe".to_owned(),
    };
    let (near, far) = duplex(1 << 20);
    let (host_hello, guest_hello) = (hello(Role::Host), hello(Role::Guest));
    let never = Notify::new();
    let (host, guest) = tokio::join!(
        connect(near, &host_hello, &never),
        accept(far, &guest_hello)
    );
    let ((host, host_driver), (guest, guest_driver)) = (
        host.expect("the guest has the same secret"),
        guest.expect("the host has the same secret"),
    );
    tokio::spawn(host_driver.run());
    tokio::spawn(guest_driver.run());
    (host, guest)
}
