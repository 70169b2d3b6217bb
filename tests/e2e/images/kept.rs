//! Images that are there: read again, carried to another home, pinned. No machine is started.

use std::sync::Arc;

use super::publisher::Publisher;
use super::web::{Files, Web};
use super::{sha256, small_disk};
use crate::support::home::{Home, SOON};

/// Has the home fetch streams from this mirror, signed by this publisher.
fn configure(home: &Home, web: &Web, publisher: &Publisher, more: &str) {
    let config = format!("[image]\nmirrors = [\"{}\"]\n{more}", web.url("/m"));
    fs_err::write(home.path().join("config.toml"), config).expect("it can be written");
    let keys = home.path().join("keys");
    fs_err::create_dir_all(&keys).expect("it can be made");
    fs_err::write(keys.join("mine.asc"), publisher.key()).expect("it can be written");
}

pub(super) fn verified() {
    let mut home = Home::new("verify");
    let disk = small_disk(1);
    let checksum = format!("sha256:{}", sha256(&disk));
    let files = Files::from([("/disk.raw".to_owned(), Arc::new(disk.clone()))]);
    let mut web = Web::start(files, None, None);
    let url = web.url("/disk.raw");
    home.machine(
        &["init", "--checksum", &checksum, "--image", &url, "m"],
        SOON,
    )
    .succeeded();
    web.end();
    let id = &checksum[7..19];
    let verify = || home.machine(&["image", "verify", "--all"], SOON);
    assert_eq!(verify().succeeded(), format!("{id} ok {url}\n"));

    let path = home
        .path()
        .join("data/images")
        .join(checksum.replace(':', "-"))
        .join("disk.raw");
    let shared = home.machine_dir("m").join("base.raw").exists();
    // As a disk of the host decays: in place, under both names.
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "chmod u+w \"$0\" && printf x | dd of=\"$0\" bs=1 seek=9999 conv=notrunc status=none",
    ]);
    assert!(command.arg(&path).status().expect("sh runs").success());
    let damaged = verify();
    assert_eq!(damaged.status.code(), Some(125), "{}", damaged.stderr);
    assert_eq!(damaged.text(), format!("{id} damaged {url}\n"));
    let said = &damaged.stderr;
    assert!(said.contains(&format!("{id}: its disk `")), "{said}");
    assert!(
        said.contains(&format!("machine image rm --force {id}")),
        "{said}"
    );
    assert_eq!(
        said.contains("the disks of m lie over this file"),
        shared,
        "{said}"
    );
    let bundle = home.path().join("bundle");
    let export = ["image", "export", id, bundle.to_str().expect("text")];
    let refused = home.machine(&export, SOON).failed();
    assert!(refused.contains("is damaged"), "{refused}");
    assert!(!bundle.exists());

    let json = home.machine(&["image", "verify", "--format", "json", id], SOON);
    let json: serde_json::Value = serde_json::from_str(&json.text()).expect("JSON");
    assert_eq!(json[0]["State"], "damaged");
    home.dispose().expect("nothing is left");
}

pub(super) fn carried() {
    let mut home = Home::new("export");
    let publisher = Publisher::new(&home);
    let disk = small_disk(2);
    let files = Files::from_iter(publisher.stream("testing", "44.20261101.2.0", &disk));
    let mut web = Web::start(files, None, None);
    configure(&home, &web, &publisher, "default = \"testing\"\n");
    let title = "Fedora CoreOS testing 44.20261101.2.0";
    // The configured image is the one that is pulled.
    let pulled = home.machine(&["image", "pull"], SOON).succeeded();
    assert!(
        pulled.starts_with(&format!("{title} was fetched\n")),
        "{pulled}"
    );
    let file = home.path().join("image.bundle");
    let file = file.to_str().expect("the stage's path is text");
    let export = |more: &[&str]| {
        let arguments = [&["image", "export"], more, &["testing", file]].concat();
        home.machine(&arguments, SOON)
    };
    let written = export(&[]).succeeded();
    assert!(
        written.starts_with(&format!("{title} was written to {file} (")),
        "{written}"
    );
    let checksum = written.lines().last().expect("its checksum").to_owned();
    assert!(export(&[]).failed().contains("`--force` replaces it"));
    assert_eq!(
        export(&["-q", "--force"]).succeeded(),
        format!("{checksum}\n")
    );

    // Nobody can be asked: the other home has the bundle alone.
    web.end();
    let mut other = Home::new("import");
    configure(&other, &web, &publisher, "default = \"testing\"\n");
    let nothing = other.machine(&["init", "m"], SOON).failed();
    assert!(nothing.contains("cannot be fetched"), "{nothing}");
    let import = |more: &[&str]| {
        let arguments = [&["image", "import"], more, &[file]].concat();
        other.machine(&arguments, SOON)
    };
    let wrong = format!("sha256:{}", sha256(b"another"));
    let refused = import(&["--checksum", &wrong]).failed();
    assert!(refused.contains("has another checksum"), "{refused}");
    let imported = import(&[]);
    assert!(
        imported
            .stderr
            .contains("was checked when it was downloaded, not again"),
        "{}",
        imported.stderr
    );
    let expected = format!("{title} was imported\nsha256:{}\n", sha256(&disk));
    assert_eq!(imported.succeeded(), expected);
    let list = || {
        let format = "{{.Name}} {{.Verified}}";
        other
            .machine(&["image", "list", "--format", format], SOON)
            .succeeded()
    };
    assert_eq!(list(), format!("{title} bundle\n"));
    let pinned = import(&["--checksum", &checksum]);
    assert_eq!(pinned.stderr, "");
    assert_eq!(pinned.succeeded(), expected);
    assert_eq!(list(), format!("{title} checksum\n"));

    let made = other.machine(&["init", "m"], SOON);
    assert!(
        made.stderr
            .contains("nobody can be asked what `testing` is now")
    );
    let expected = format!("Image: {title} (raw, 1 MiB)\n");
    assert!(made.succeeded().starts_with(&expected));
    other
        .machine(&["image", "verify", "--all"], SOON)
        .succeeded();
    other.dispose().expect("nothing is left");
    drop(publisher);
    home.dispose().expect("nothing is left");
}

pub(super) fn pinned() {
    let mut home = Home::new("lock");
    let publisher = Publisher::new(&home);
    let (old, new) = (small_disk(3), small_disk(4));
    let before = publisher.stream("testing", "44.20261101.2.0", &old);
    let mut web = Web::start(Files::from_iter(before.clone()), None, None);
    configure(&home, &web, &publisher, "");
    let lock = home.path().join("image.lock");
    let lock_text = lock.to_str().expect("the stage's path is text");
    let init = |home: &Home, image: &str, name: &str| {
        let arguments = ["init", "--image-lock", lock_text, "--image", image, name];
        home.machine(&arguments, SOON)
    };
    let first = init(&home, "testing", "a");
    let pin = format!("44.20261101.2.0 (sha256:{})", sha256(&old));
    let said = format!("Image `testing` is pinned to {pin} in `{lock_text}`\n");
    assert!(first.stderr.contains(&said), "{}", first.stderr);
    let image = "Image: Fedora CoreOS testing 44.20261101.2.0 (raw, 1 MiB)\n";
    assert!(first.succeeded().starts_with(image));
    let written = fs_err::read_to_string(&lock).expect("it is written");

    // With the stream moved and the old release still there, the old one is had, here and elsewhere.
    web.end();
    let mut after = publisher.stream("testing", "44.20261115.2.0", &new);
    after.extend(
        before
            .into_iter()
            .filter(|(path, _)| path.contains("44.20261101")),
    );
    let mut web = Web::start(Files::from_iter(after.clone()), None, None);
    configure(&home, &web, &publisher, "");
    let mut other = Home::new("lock-other");
    configure(&other, &web, &publisher, "");
    for home in [&home, &other] {
        let second = init(home, "testing", "b");
        assert!(!second.stderr.contains("pinned"), "{}", second.stderr);
        assert!(second.succeeded().starts_with(image));
    }
    assert_eq!(fs_err::read_to_string(&lock).expect("it is there"), written);
    // Without a network, and without a word about it: it is the one that is asked for.
    web.end();
    let offline = init(&other, "testing", "c");
    assert_eq!(offline.stderr, "");
    assert!(offline.succeeded().starts_with(image));

    // A release that is another one now is refused before it comes.
    let moved = publisher.stream("testing", "44.20261101.2.0", &new);
    let web = Web::start(Files::from_iter(moved), None, None);
    let mut third = Home::new("lock-third");
    configure(&third, &web, &publisher, "");
    let error = init(&third, "testing", "d").failed();
    let expected =
        format!("Image `testing` is pinned to {pin} by `{lock_text}`, and cannot be had so");
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains(&sha256(&new)), "{error}");
    assert!(error.contains("remove its entry from"), "{error}");
    assert_eq!(web.ranges().len(), 1, "the image was not asked for");

    fs_err::write(&lock, "format = 9\n").expect("it can be written");
    let error = init(&third, "testing", "d").failed();
    assert!(error.contains("it has format 9"), "{error}");
    drop(web);
    drop(publisher);
    for home in [&mut home, &mut other, &mut third] {
        home.dispose().expect("nothing is left");
    }
}
