//! What is asked of WSL, against the stand-in: every answer becomes a sentence that says what to do, and a distribution is
//! there whole, or not at all, or somebody else's.

use machine::provider::wsl::distro::{Distro, name};
use machine::provider::wsl::{Wsl, WslError};

use crate::support::{Host, WSL};

fn wsl(host: &Host) -> Wsl {
    let home = host.path("").into_os_string();
    Wsl::new(WSL.as_ref(), &[("FAKE_WSL_HOME".into(), home)])
}

fn distro(host: &Host) -> Distro {
    Distro {
        name: name("a", None),
        place: host.path("place"),
        record: host.path("distro.json"),
    }
}

#[tokio::test]
async fn versions_in_three_languages() {
    let host = Host::new();
    let wsl = wsl(&host);
    for language in ["", "language de", "language ja"] {
        host.conditions(language);
        assert_eq!(wsl.version().await.unwrap(), "2.6.1.0");
    }
    host.conditions("version 0.66.2.0");
    let error = wsl.version().await.unwrap_err();
    assert_eq!(error.hints(), ["Run `wsl --update`"]);
    host.conditions("inbox\nlanguage de");
    assert!(matches!(
        wsl.version().await,
        Err(WslError::TooOld { found: None, .. })
    ));
    host.conditions("not-installed\nlanguage ja");
    assert!(matches!(wsl.version().await, Err(WslError::NotInstalled)));
    let nowhere = Wsl::new(host.path("wsl.exe").as_ref(), &[]);
    assert!(matches!(
        nowhere.version().await,
        Err(WslError::NotInstalled)
    ));
}

#[tokio::test]
async fn a_failed_import_leaves_nothing_and_says_what_to_do() {
    let host = Host::new();
    let (wsl, distro) = (wsl(&host), distro(&host));
    let tar = host.tar(&[]);
    for (condition, expected, hint) in [
        (
            "no-virtualization",
            "virtualization is off",
            "wsl --install --no-distribution",
        ),
        (
            "reboot-pending",
            "before Windows is restarted",
            "Restart Windows",
        ),
        (
            "version-1-only",
            "version 1 alone",
            "wsl --install --no-distribution",
        ),
        ("disk-full", "no room", "Make room"),
        (
            "fail --import Wsl/Service/E_ACCESSDENIED",
            "(Wsl/Service/E_ACCESSDENIED)",
            "wsl --update",
        ),
    ] {
        for more in ["", "language de", "language ja", "stderr"] {
            host.conditions(&format!("{condition}\n{more}"));
            let error = distro.ensure(&wsl, &tar).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hints()[0].contains(hint), "{:?}", error.hints());
        }
        host.conditions("");
        assert!(!wsl.is_registered(&distro.name).await.unwrap());
    }
    // The next one that can, does.
    distro.ensure(&wsl, &tar).await.unwrap();
    assert!(wsl.is_registered("MACHINE-A").await.unwrap());
    distro.remove(&wsl).await.unwrap();
    assert!(!distro.record.exists() && !distro.place.exists());
    assert_eq!(host.violations(), "");
}

#[tokio::test]
async fn half_a_distribution_is_made_whole_and_another_ones_is_left_alone() {
    let host = Host::new();
    let (wsl, distro) = (wsl(&host), distro(&host));
    let tar = host.tar(&[]);
    host.conditions("import-dies");
    assert!(distro.ensure(&wsl, &tar).await.is_err());
    host.conditions("");
    assert!(wsl.is_registered(&distro.name).await.unwrap());
    distro.ensure(&wsl, &tar).await.unwrap();
    // Again is nothing.
    let calls = || fs_err::read_to_string(host.path("calls")).unwrap();
    let before = calls().matches("--import").count();
    distro.ensure(&wsl, &tar).await.unwrap();
    assert_eq!(calls().matches("--import").count(), before);

    // Without our record the same distribution is somebody's.
    fs_err::remove_file(&distro.record).unwrap();
    let error = distro.ensure(&wsl, &tar).await.unwrap_err();
    assert!(matches!(error, WslError::Foreign(_)), "{error}");
    distro.remove(&wsl).await.unwrap();
    assert!(wsl.is_registered(&distro.name).await.unwrap());
    wsl.unregister(&distro.name).await.unwrap();
    wsl.unregister(&distro.name).await.unwrap();

    // One that the user removed is not made anew behind his back.
    distro.ensure(&wsl, &tar).await.unwrap();
    wsl.unregister(&distro.name).await.unwrap();
    assert!(matches!(
        distro.ensure(&wsl, &tar).await,
        Err(WslError::Lost(_))
    ));
}

/// The clock of the test runs ahead where nothing else happens.
#[tokio::test(start_paused = true)]
async fn what_hangs_is_given_up() {
    let host = Host::new();
    let wsl = wsl(&host);
    host.conditions("hang --list");
    let error = wsl.is_running("a").await.unwrap_err();
    assert_eq!(error.to_string(), "`wsl --list` did not end within 30 s");
    assert!(error.hints()[0].contains("wsl --shutdown"));
}

#[tokio::test]
async fn the_platform_is_asked_for_in_every_language() {
    let host = Host::new();
    let wsl = wsl(&host);
    for language in ["", "language de", "language ja", "stderr"] {
        for (condition, is_off) in [
            ("", false),
            ("version-1-only", false),
            ("fail --status Wsl/Service/E_UNEXPECTED", false),
            ("no-virtualization", true),
            ("reboot-pending", true),
        ] {
            host.conditions(&format!("{condition}\n{language}"));
            let asked = wsl.check_platform().await;
            let found = matches!(asked, Err(WslError::VirtualizationOff));
            assert_eq!(found, is_off, "{condition}: {asked:?}");
        }
    }
    host.conditions("not-installed");
    assert!(matches!(
        wsl.check_platform().await,
        Err(WslError::NotInstalled)
    ));
}

/// A question that hangs is no answer, before a machine is made as well.
#[tokio::test(start_paused = true)]
async fn a_host_whose_wsl_hangs_gets_no_machine() {
    let host = Host::new();
    let wsl = wsl(&host);
    host.conditions("hang --status");
    let error = wsl.check_platform().await.unwrap_err();
    assert!(matches!(error, WslError::Silent { .. }), "{error}");
}
