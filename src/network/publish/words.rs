//! What whoever runs a container is told of a port that could not be opened: one line in Go's form, which tools look for,
//! and what to do. Podman shows it between double quotes, so it has none.

use std::io::ErrorKind;

use machine_protocol::publish::Port;

use super::listen::Unavailable;
use super::table::Refusal;

/// Of a port that may not be had.
pub(super) fn refused(port: &Port, refusal: Refusal) -> String {
    format!("listen {port}: bind: {refusal}")
}

/// Of a port that the host did not give; `holder` is who has it, if that is known.
pub(super) fn unavailable(port: &Port, failure: &Unavailable, holder: Option<&str>) -> String {
    let Unavailable { place, error } = failure;
    let protocol = port.protocol;
    let why = match error.kind() {
        ErrorKind::AddrInUse => match holder {
            Some(holder) => format!("address already in use by {holder}"),
            None => "address already in use".to_owned(),
        },
        ErrorKind::PermissionDenied => {
            format!(
                "permission denied: {}",
                machine_host::ports::denied(place.port())
            )
        }
        ErrorKind::AddrNotAvailable => format!(
            "cannot assign requested address: this host does not have the address {}",
            place.ip()
        ),
        _ => error.to_string(),
    };
    format!("listen {protocol} {place}: bind: {}", why.replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use machine_protocol::publish::Protocol;

    use super::super::Owner;
    use super::*;

    #[test]
    fn tools_find_the_usual_words() {
        let port = Port {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".parse().unwrap(),
            port: 80,
            guest_port: 80,
        };
        let failure = |kind: ErrorKind| Unavailable {
            place: "0.0.0.0:80".parse().unwrap(),
            error: io::Error::from(kind),
        };
        assert_eq!(
            unavailable(&port, &failure(ErrorKind::AddrInUse), Some("machine `b`")),
            "listen tcp 0.0.0.0:80: bind: address already in use by machine `b`"
        );
        assert_eq!(
            unavailable(&port, &failure(ErrorKind::AddrInUse), None),
            "listen tcp 0.0.0.0:80: bind: address already in use"
        );
        let denied = unavailable(&port, &failure(ErrorKind::PermissionDenied), None);
        assert!(
            denied.starts_with("listen tcp 0.0.0.0:80: bind: permission denied: "),
            "{denied}"
        );
        assert_eq!(
            refused(&port, Refusal::Taken(Owner::Configured)),
            "listen tcp :80: bind: address already in use by `machine port` of this machine"
        );
    }
}
