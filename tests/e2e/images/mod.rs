//! Images from the network, as a user has them: over TLS, from a stream's mirror, from a real registry.

mod kept;
mod publisher;
mod registry;
pub(crate) mod web;

use std::sync::Arc;

use libtest_mimic::Trial;

use self::publisher::Publisher;
use self::web::{Files, Web, authority};
use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "images::a_download_is_killed_resumed_shared_and_boots",
            killed_resumed_boots,
        ),
        trial(
            "images::a_stream_signed_by_a_key_of_the_user",
            signed_stream,
        ),
        trial("images::an_artifact_of_a_registry", registry::artifact),
        trial("images::a_damaged_image_is_found", kept::verified),
        trial(
            "images::a_bundle_goes_to_a_home_without_a_network",
            kept::carried,
        ),
        trial("images::a_pinned_image_stays", kept::pinned),
    ]
}

/// A small disk that boots nothing.
fn small_disk(mark: u8) -> Vec<u8> {
    let mut disk = vec![mark; 1 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk
}

fn sha256(bytes: &[u8]) -> String {
    machine_images::Checksum::of_bytes(bytes).hex()
}

fn killed_resumed_boots() {
    let mut home = Home::new("images");
    let image = fs_err::read(Stage::get().guest_image()).expect("the image is there");
    let checksum = format!("sha256:{}", sha256(&image));
    let files = Files::from([("/guest.qcow2".to_owned(), Arc::new(image))]);
    let (authority, tls) = authority();
    let authority_file = home.path().join("authority.pem");
    fs_err::write(&authority_file, authority).expect("it can be written");
    let stops_after = 40 << 20;
    let mut web = Web::start(files, Some(tls), Some(stops_after));
    let url = web.url("/guest.qcow2");
    let init = |name: &str, more: &[&str]| {
        let mut arguments = vec!["init", "--image", &url, "--cpus", "2", "--memory", "1536"];
        arguments.extend(more);
        arguments.push(name);
        let mut command = home.command(&arguments);
        command.env("SSL_CERT_FILE", &authority_file);
        command
    };

    // Without its authority the server is nobody, and that is said.
    let error = run(init("m", &[]).env_remove("SSL_CERT_FILE"), b"", SOON).failed();
    assert!(
        error.contains("cannot be fetched") && error.contains("SSL_CERT_FILE"),
        "{error}"
    );

    let mut killed =
        crate::support::command::begin(&mut init("m", &["--checksum", &checksum]), b"");
    let downloads = home.path().join("data/images/downloads");
    let there = || {
        let entries = fs_err::read_dir(&downloads).into_iter().flatten().flatten();
        let parts =
            entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "part"));
        parts
            .filter_map(|entry| entry.metadata().ok())
            .map(|facts| facts.len())
            .max()
    };
    eventually("the first bytes", BOOT, || {
        there().filter(|bytes| *bytes > 30 << 20)
    });
    killed.child.kill().expect("it runs");
    drop(killed);
    assert_eq!(
        home.machine(&["list", "--quiet", "--noheading"], SOON)
            .text(),
        ""
    );

    let done = run(
        &mut init("m", &["--checksum", &checksum, "--disk-size", "8"]),
        b"",
        BOOT,
    );
    assert!(done.stderr.contains("Downloading image"), "{}", done.stderr);
    assert!(
        done.succeeded()
            .starts_with(&format!("Image: {url} (qcow2, "))
    );
    let ranges = web.ranges();
    let [None, Some(from)] = ranges[..] else {
        panic!("one whole, one rest: {ranges:?}")
    };
    assert!((30 << 20..=stops_after).contains(&from), "{from}");

    // The second machine asks nobody, and takes nothing of the host.
    web.end();
    let begun = std::time::Instant::now();
    run(&mut init("second", &["--checksum", &checksum]), b"", SOON).succeeded();
    assert!(begun.elapsed() < SOON / 3, "{:?}", begun.elapsed());
    home.machine(&["rm", "--force", "second"], SOON).succeeded();

    // The cache is no part of a machine.
    fs_err::remove_dir_all(home.path().join("data/images")).expect("it can be removed");
    home.machine(&["start", "m"], BOOT).succeeded();
    let size = "df --output=size --block-size=1G / | tail -n 1";
    let size = home
        .machine(&["exec", "m", "sh", "-c", size], SOON)
        .succeeded();
    let size: u32 = size.trim().parse().expect("a number");
    assert!((19..=20).contains(&size), "{size}");
    home.machine(&["stop", "m"], BOOT).succeeded();
    home.dispose().expect("nothing is left");
}

/// A mirror of Fedora's site has another's image, signed by gpg: the key decides.
fn signed_stream() {
    let mut home = Home::new("stream");
    let disk = small_disk(1);
    let publisher = Publisher::new(&home);
    let files = Files::from_iter(publisher.stream("testing", "44.20261101.2.0", &disk));
    let mut web = Web::start(files, None, None);
    let config = format!("[image]\nmirrors = [\"{}\"]\n", web.url("/m"));
    fs_err::write(home.path().join("config.toml"), config).expect("it can be written");

    let init = |name: &str| home.machine(&["init", "--image", "testing", name], SOON);
    let error = init("m").failed();
    assert!(
        error.contains("is by a key that is not known here"),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
    assert_eq!(web.ranges().len(), 2, "the image was not asked for");

    let keys = home.path().join("keys");
    fs_err::create_dir(&keys).expect("it can be made");
    fs_err::write(keys.join("mine.asc"), publisher.key()).expect("it can be written");
    let expected = "Image: Fedora CoreOS testing 44.20261101.2.0 (raw, 1 MiB)\n";
    let said = init("m").succeeded();
    assert!(said.starts_with(expected), "{said}");

    let pulled = home
        .machine(&["image", "pull", "testing"], SOON)
        .succeeded();
    let checksum = format!("sha256:{}", sha256(&disk));
    let expected_pull =
        format!("Fedora CoreOS testing 44.20261101.2.0 is there already\n{checksum}\n");
    assert_eq!(pulled, expected_pull);

    // Nobody there: what is there is used, and that is said.
    web.end();
    let offline = init("n");
    assert!(
        offline
            .stderr
            .contains("Warning: nobody can be asked what `testing` is now"),
        "{}",
        offline.stderr
    );
    assert!(offline.succeeded().starts_with(expected));

    let format = "{{.Name}} {{.Verified}} {{.Machines}}";
    let listed = home.machine(&["image", "list", "--format", format], SOON);
    assert_eq!(
        listed.succeeded(),
        "Fedora CoreOS testing 44.20261101.2.0 signature m, n\n"
    );
    let error = home.machine(&["image", "rm", &checksum], SOON).failed();
    assert!(error.contains("is used by m, n"), "{error}");
    home.machine(&["image", "prune"], SOON).succeeded();
    let ids = || home.machine(&["image", "list", "-q"], SOON).succeeded();
    assert_eq!(ids(), format!("{}\n", &checksum[7..19]));
    home.machine(&["image", "rm", "-f", ids().trim_end()], SOON)
        .succeeded();
    assert_eq!(ids(), "");
    drop(publisher);
    home.dispose().expect("nothing is left");
}
