//! Tests of volumes: podman's examples, and laws.

use proptest::prelude::*;

use super::*;

fn unix(text: &str) -> Result<Parsed, VolumeError> {
    parse(text, PathStyle::Unix, Path::new("/here"))
}

fn windows(text: &str) -> (String, String, bool) {
    let volume = parse(text, PathStyle::Windows, Path::new(r"C:\here"))
        .unwrap()
        .volume;
    let source = volume.source.to_string_lossy().into_owned();
    (source, volume.target, volume.read_only)
}

fn volume(source: &str, target: &str, read_only: bool) -> Volume {
    Volume {
        source: PathBuf::from(source),
        target: target.to_owned(),
        read_only,
        watch: false,
    }
}

#[test]
fn source_target_and_options() {
    for (text, expected) in [
        ("/a", volume("/a", "/a", false)),
        ("/a:/b", volume("/a", "/b", false)),
        ("/a:/b:ro", volume("/a", "/b", true)),
        ("/a:/b:ro,rw", volume("/a", "/b", false)),
        ("/a:/b:", volume("/a", "/b", false)),
        ("/a:/b:security_model=none,ro", volume("/a", "/b", true)),
        ("/a b/ä:/c d/é", volume("/a b/ä", "/c d/é", false)),
        ("/a://b/./c/../d/", volume("/a", "/b/d", false)),
        ("/a:/../../b", volume("/a", "/b", false)),
        ("src", volume("/here/src", "/here/src", false)),
        ("src:/b", volume("/here/src", "/b", false)),
    ] {
        let parsed = unix(text).unwrap();
        assert_eq!(
            (parsed.volume, parsed.unknown),
            (expected, vec![]),
            "{text}"
        );
    }
    let parsed = unix("/a:/b:watch").unwrap();
    let watched = Volume {
        watch: true,
        ..volume("/a", "/b", false)
    };
    assert_eq!((parsed.volume, parsed.unknown), (watched, vec![]));
    let parsed = unix("/a:/b:Z,ro,cached:more").unwrap();
    assert_eq!(parsed.unknown, ["Z", "cached:more"]);
    assert!(parsed.volume.read_only);
}

#[test]
fn what_is_no_volume() {
    for (text, expected) in [
        ("", "volume `` names no folder of the host"),
        (":/b", "volume `:/b` names no folder of the host"),
        (
            "/a:",
            "volume target `` is not an absolute path in the machine",
        ),
        (
            "/a:b",
            "volume target `b` is not an absolute path in the machine",
        ),
        (
            "/a\n:/b",
            r"volume `/a\n:/b` has a control character in its path",
        ),
    ] {
        assert_eq!(unix(text).unwrap_err().to_string(), expected);
    }
}

/// Podman's rules for drives (spec 6.2).
#[test]
fn drives_have_colons() {
    let same =
        |source: &str, target: &str, read_only| (source.to_owned(), target.to_owned(), read_only);
    for (text, source, target, read_only) in [
        (r"C:\Users\me", r"C:\Users\me", "/c/Users/me", false),
        (r"D:/data", r"D:/data", "/d/data", false),
        (r"C:\", r"C:\", "/c", false),
        (r"C:\a b:/mnt/a b:ro", r"C:\a b", "/mnt/a b", true),
        (r"\\?\C:\a:/b", r"\\?\C:\a", "/b", false),
        (r"\\.\E:\a", r"\\.\E:\a", "/e/a", false),
        ("/unix:/b:ro", "/unix", "/b", true),
    ] {
        assert_eq!(windows(text), same(source, target, read_only), "{text}");
    }
    // Elsewhere a letter is a folder like any other.
    assert_eq!(unix("C:/a").unwrap().volume, volume("/here/C", "/a", false));
}

#[test]
fn the_guest_keeps_what_it_needs() {
    let check = |target: &str| check_one(&volume("/a", target, false), "core");
    for target in FORBIDDEN.iter().chain(&FORBIDDEN_TREES).chain(&[
        "/etc/containers/registries.conf.d",
        "/proc/1",
        "/home/core",
        "/var/home",
        "/var/home/core",
        "/home/core/.ssh",
        "/var/home/core/.ssh/x",
        "/home/core/.local/share/containers/storage",
        "/var/roothome",
        "/var/run",
    ]) {
        assert_eq!(
            check(target),
            Err(VolumeError::Forbidden((*target).to_owned())),
            "{target}"
        );
    }
    for target in [
        "/home/ann",
        "/home/core2",
        "/home/core/work",
        "/home/core/.cache",
        "/Users",
        "/mnt/c",
        "/var/folders",
        "/private",
        "/etc/mine",
        "/etc/containersx",
        "/run/host",
        "/usr/local/src",
    ] {
        assert_eq!(check(target), Ok(()), "{target}");
    }
    assert_eq!(
        check("/etc").unwrap_err().to_string(),
        "machine mount destination cannot be \"/etc\": consider another location or a subdirectory of an existing location"
    );
    for edited in ["b", "/b/", "/b/../etc", ""] {
        let edited = volume("/a", edited, false);
        assert!(matches!(
            check_one(&edited, "core"),
            Err(VolumeError::Relative(_))
        ));
    }
    let both = unix("/a:/b:ro,watch").unwrap().volume;
    assert_eq!(
        check_one(&both, "core").unwrap_err().to_string(),
        "volume `/b` cannot have both `ro` and `watch`"
    );
    let long = volume("/a", &format!("/{}", "b".repeat(LONGEST_TARGET)), false);
    assert!(matches!(
        check_one(&long, "core"),
        Err(VolumeError::TooLong(4001))
    ));
}

#[test]
fn places_are_taken_once() {
    let all = |targets: &[&str]| {
        let volumes: Vec<Volume> = targets
            .iter()
            .enumerate()
            .map(|(at, target)| volume(&format!("/s{at}"), target, false))
            .collect();
        check(&volumes, "core").map_err(|error| error.to_string())
    };
    assert_eq!(all(&["/a", "/a/b", "/b"]), Ok(()));
    assert_eq!(
        all(&["/x", "/home/ann", "/var/home/ann"]),
        Err("volumes `/s1` and `/s2` have the same target, `/var/home/ann`".to_owned())
    );
    let many: Vec<String> = (0..=MOST_VOLUMES).map(|n| format!("/m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(all(&many[1..]), Ok(()));
    assert!(all(&many).unwrap_err().starts_with("17 volumes"));
}

#[test]
fn every_host_has_its_defaults_and_none_hides_the_configuration() {
    for os in ["linux", "freebsd", "macos", "windows"] {
        let list = defaults(os);
        assert!(!list.is_empty(), "{os}");
        assert!(!list.iter().any(|text| text.contains("containers")), "{os}");
    }
    assert_eq!(defaults("linux"), ["$HOME:$HOME"]);
}

proptest! {
    /// Whatever is written, the target is clean or there is an error; a checked volume stays good when it is read back.
    #[test]
    fn laws(text in r"(/|\.\.|\.|:|a|ö| |\\|C:|ro|,|home|core|etc){0,12}") {
        for style in [PathStyle::Unix, PathStyle::Windows] {
            let Ok(parsed) = parse(&text, style, Path::new("/here")) else { continue };
            let target = parsed.volume.target.clone();
            prop_assert!(target.starts_with('/'));
            prop_assert!(target == "/" || !target.ends_with('/'));
            prop_assert!(!target.contains("//"));
            prop_assert!(!target.split('/').any(|part| part == "." || part == ".."));
            prop_assert_eq!(clean(&target), Some(target));
            let stored = toml::to_string(&parsed.volume).unwrap();
            let read: Volume = toml::from_str(&stored).unwrap();
            prop_assert_eq!(check_one(&read, "core"), check_one(&parsed.volume, "core"));
        }
    }
}
