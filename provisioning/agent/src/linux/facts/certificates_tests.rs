//! Stand-ins for Debian's and Fedora's tools make the bundle of the guest's own and the added ones.

use super::*;
use crate::linux::program::testing::Stub;

const DEBIAN: &str = "cat $ROOT/own.pem $ROOT/usr/local/share/ca-certificates/*.crt > $ROOT/etc/ssl/certs/ca-certificates.crt 2>/dev/null; true";
const FEDORA: &str = "cat $ROOT/own.pem $ROOT/etc/pki/ca-trust/source/anchors/*.pem > $ROOT/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem 2>/dev/null; true";

fn of(bodies: &[&str]) -> String {
    bodies.iter().map(|body| pem(body)).collect()
}

fn stub(kind: &Trust, script: &str) -> Stub {
    let stub = Stub::new();
    stub.program(&format!("usr/sbin/{}", kind.program), script);
    stub.put("own.pem", &of(&["OWN1", "OWN2"]));
    stub.put(kind.bundle, &of(&["OWN1", "OWN2"]));
    stub
}

fn trusted(stub: &Stub, kind: &Trust) -> Vec<String> {
    let mut trusted: Vec<_> = certificates(stub.text(kind.bundle).as_bytes()).collect();
    trusted.sort();
    trusted
}

/// What is wanted, one after the other, and what is trusted then. The calls differ by the kind.
async fn life(stub: &Stub, kind: &Trust, added: &[&str], removed: &[&str]) {
    let apply =
        async |wanted: Option<&str>| super::apply(&stub.paths, wanted.map(str::as_bytes)).await;
    assert_eq!(apply(None).await, Ok(Applied::Unused));
    assert_eq!(stub.calls(), [""; 0]);

    let wanted = of(&["OWN2", "HOST1", "HOST2", "HOST1"]);
    assert_eq!(apply(Some(&wanted)).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), added);
    assert_eq!(trusted(stub, kind), ["HOST1", "HOST2", "OWN1", "OWN2"]);
    assert_eq!(apply(Some(&wanted)).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), [""; 0], "nothing changed");

    // What was added before is not taken for the guest's own.
    let more = of(&["HOST1", "HOST2", "HOST3"]);
    assert_eq!(apply(Some(&more)).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), added);
    assert_eq!(
        trusted(stub, kind),
        ["HOST1", "HOST2", "HOST3", "OWN1", "OWN2"]
    );

    assert_eq!(apply(Some(&of(&["HOST2"]))).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), removed);
    assert_eq!(trusted(stub, kind), ["HOST2", "OWN1", "OWN2"]);

    assert_eq!(apply(None).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), removed);
    assert_eq!(trusted(stub, kind), ["OWN1", "OWN2"]);
    let left = fs_err::read_dir(stub.path(kind.directory)).unwrap();
    assert_eq!(left.count(), 0);
    assert_eq!(apply(None).await, Ok(Applied::Unused));

    // The guest trusts them all already.
    assert_eq!(apply(Some(&of(&["OWN1"]))).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), [""; 0]);
}

#[tokio::test]
async fn on_fedora_by_the_tool() {
    let stub = stub(&KINDS[1], FEDORA);
    let tool = ["update-ca-trust"];
    life(&stub, &KINDS[1], &tool, &tool).await;
}

/// A guest whose bundle was never made.
#[tokio::test]
async fn on_debian_by_the_tool() {
    let stub = stub(&KINDS[0], DEBIAN);
    fs_err::remove_file(stub.path(KINDS[0].bundle)).unwrap();
    let apply = async |wanted: &str| super::apply(&stub.paths, Some(wanted.as_bytes())).await;
    assert_eq!(apply(&of(&["HOST1"])).await, Ok(Applied::Done));
    assert_eq!(stub.calls(), ["update-ca-certificates"]);
    assert_eq!(trusted(&stub, &KINDS[0]), ["HOST1", "OWN1", "OWN2"]);
}

#[tokio::test]
async fn on_debian_without_the_slow_tool() {
    let stub = stub(&KINDS[0], DEBIAN);
    stub.program("usr/bin/openssl", "");
    let links = stub.path("etc/ssl/certs").display().to_string();
    let rehash = format!("openssl rehash {links}");
    life(&stub, &KINDS[0], &[&rehash], &[&rehash]).await;

    super::apply(&stub.paths, Some(of(&["HOST1"]).as_bytes()))
        .await
        .unwrap();
    let link = fs_err::read_link(stub.path("etc/ssl/certs/machine-host-000.pem")).unwrap();
    assert_eq!(
        link,
        Path::new("/usr/local/share/ca-certificates/machine-host-000.crt")
    );
    // What the tool would have made is what there is.
    let amended = stub.text(KINDS[0].bundle);
    stub.put(KINDS[0].bundle, "");
    program::run(&stub.paths, "update-ca-certificates", &[], LIMIT)
        .await
        .unwrap();
    assert_eq!(amended, stub.text(KINDS[0].bundle));
}

#[tokio::test]
async fn a_failure_is_tried_again_at_the_next_start() {
    let kind = &KINDS[1];
    let stub = stub(kind, "echo broken >&2; exit 1");
    let wanted = of(&["HOST1"]);
    let apply = async || super::apply(&stub.paths, Some(wanted.as_bytes())).await;
    let problem = "`update-ca-trust` ended with exit status: 1: broken";
    assert_eq!(apply().await, Err(problem.to_owned()));
    // The file is there already; the tool has not seen it.
    stub.program("usr/sbin/update-ca-trust", FEDORA);
    stub.calls();
    assert_eq!(apply().await, Ok(Applied::Done));
    assert_eq!(stub.calls(), ["update-ca-trust"]);
    assert_eq!(trusted(&stub, kind), ["HOST1", "OWN1", "OWN2"]);

    // Switched off after a failure, nothing stays.
    stub.program("usr/sbin/update-ca-trust", "exit 1");
    let other = of(&["HOST2"]);
    super::apply(&stub.paths, Some(other.as_bytes()))
        .await
        .unwrap_err();
    stub.program("usr/sbin/update-ca-trust", FEDORA);
    assert_eq!(super::apply(&stub.paths, None).await, Ok(Applied::Done));
    assert_eq!(trusted(&stub, kind), ["OWN1", "OWN2"]);
    assert!(!stub.path(APPLIED).exists());
}

#[tokio::test]
async fn a_guest_without_a_tool() {
    let stub = Stub::new();
    let problem = super::apply(&stub.paths, Some(b"x")).await.unwrap_err();
    assert!(
        problem.ends_with("neither update-ca-certificates nor update-ca-trust"),
        "{problem}"
    );
}

#[test]
fn texts_with_anything_in_them() {
    let text = format!(
        "# comment\n{}garbage{BEGIN}\n??\n{END}{BEGIN}",
        of(&["QUJD", "REVG"])
    );
    let found: Vec<_> = certificates(text.as_bytes()).collect();
    assert_eq!(found, ["QUJD", "REVG"]);
    let long = "A".repeat(130);
    assert_eq!(
        certificates(pem(&long).as_bytes()).collect::<Vec<_>>(),
        [long.as_str()]
    );
    assert_eq!(pem(&long).lines().map(str::len).max(), Some(64));
}
