//! The table of precedence, and the texts of podman.

use proptest::prelude::*;

use super::*;

fn layers() -> [Layer; 4] {
    [
        Origin::Flag,
        Origin::Variable(PROVIDER_VARIABLE),
        Origin::OwnFile("/c/config.toml".into()),
        Origin::ContainersConf,
    ]
    .map(|origin| Layer {
        origin,
        wishes: Wishes::default(),
    })
}

#[test]
fn defaults() {
    let settings = Settings::resolve(&layers());
    assert_eq!(settings.wish(), Wish::default());
    assert_eq!(settings.image, None);
    assert_eq!(settings.user.value, "core");
    assert_eq!(settings.time_zone.value, "local");
    assert_eq!(
        (settings.rootful.value, settings.swap_mib.value),
        (false, 0)
    );
    assert!(!settings.import_native_ca.value);
    assert_eq!(settings.user.origin, Origin::Default);
    let supported = [ProviderKind::LibKrun, ProviderKind::AppleHv];
    assert_eq!(settings.provider(&supported), Ok(ProviderKind::LibKrun));
    assert_eq!(settings.check(), Ok(()));
}

proptest! {
    /// For each setting the first source that says something counts, whatever the others say.
    #[test]
    fn the_first_that_says_something_counts(
        said in proptest::array::uniform4(proptest::option::of(1_u64..100)),
        flags in proptest::array::uniform4(proptest::option::of(any::<bool>())),
    ) {
        let mut layers = layers();
        for ((layer, number), flag) in layers.iter_mut().zip(said).zip(flags) {
            let text = number.map(|number| format!("v{number}"));
            layer.wishes = Wishes {
                cpus: number,
                memory_mib: number,
                disk_gib: number,
                image: text.clone(),
                user: text.clone(),
                provider: text.clone(),
                rootful: flag,
                time_zone: text,
                swap_mib: number,
                import_native_ca: flag,
                volumes: number.map(|number| vec![format!("v{number}")]),
            };
        }
        let expected = layers.iter().zip(said).find_map(|(layer, number)| {
            Some((number?, layer.origin.clone()))
        });
        let settings = Settings::resolve(&layers);
        for setting in [&settings.cpus, &settings.memory_mib, &settings.disk_gib] {
            let found = setting.clone().map(|setting| (setting.value, setting.origin));
            prop_assert_eq!(&found, &expected);
        }
        let text = expected.clone().map(|(number, origin)| (format!("v{number}"), origin));
        for setting in [&settings.image, &settings.provider] {
            let found = setting.clone().map(|setting| (setting.value, setting.origin));
            prop_assert_eq!(&found, &text);
        }
        let (user, origin) = text.unwrap_or((DEFAULT_USER.to_owned(), Origin::Default));
        prop_assert_eq!(&settings.user, &Setting { value: user, origin: origin.clone() });
        prop_assert_eq!(&settings.time_zone.origin, &origin);
        prop_assert_eq!(settings.swap_mib.value, expected.clone().map_or(0, |(number, _)| number));
        let flag = flags.iter().flatten().next().copied().unwrap_or(false);
        prop_assert_eq!(settings.rootful.value, flag);
        prop_assert_eq!(settings.import_native_ca.value, flag);
        let volumes = expected.map(|(number, _)| vec![format!("v{number}")]);
        prop_assert_eq!(
            &settings.volumes.value,
            &volumes.unwrap_or_else(|| volume::defaults(std::env::consts::OS))
        );
    }
}

/// Spec 0: blanks and case do not count in the environment and in files. Spec 1.4.1, check 3: they do in the flag.
#[test]
fn providers() {
    let supported = [ProviderKind::Qemu];
    let provider = |layer: usize, word: &str| {
        let mut layers = layers();
        layers[layer].wishes.provider = Some(word.to_owned());
        Settings::resolve(&layers)
            .provider(&supported)
            .map_err(|error| (error.to_string(), error.hints().join("; ")))
    };
    let refused = |text: &str, hint: &str| Err((text.to_owned(), hint.to_owned()));
    assert_eq!(provider(0, "qemu"), Ok(ProviderKind::Qemu));
    assert_eq!(
        provider(0, "QEMU"),
        refused("unsupported provider \"QEMU\"", "")
    );
    assert_eq!(
        provider(0, "wsl"),
        refused("unsupported provider \"wsl\"", "")
    );
    for layer in [1, 2, 3] {
        assert_eq!(provider(layer, " QEMU "), Ok(ProviderKind::Qemu));
        assert_eq!(provider(layer, ""), Ok(ProviderKind::Qemu));
    }
    assert_eq!(
        provider(1, "xen"),
        refused(
            "unknown VMType `xen`",
            "the provider is named by the variable CONTAINERS_MACHINE_PROVIDER"
        )
    );
    assert_eq!(
        provider(2, "WSL"),
        refused(
            "unsupported virtualization provider: `wsl`",
            "the provider is named by `/c/config.toml`"
        )
    );
    assert_eq!(
        provider(3, "applehv"),
        refused(
            "unsupported virtualization provider: `applehv`",
            "the provider is named by containers.conf"
        )
    );
}

#[test]
fn errors_name_who_said_it() {
    let mut layers = layers();
    layers[2].wishes.memory_mib = Some(1);
    layers[3].wishes.cpus = Some(u64::MAX);
    layers[0].wishes.disk_gib = Some(0);
    let settings = Settings::resolve(&layers);
    assert_eq!(settings.wish().cpus, Some(u32::MAX));
    assert_eq!(
        settings.blame_resource(&ResourceError::TooLittleMemory { wanted: 1 }),
        Some("the memory is set by `/c/config.toml`".to_owned())
    );
    let error = ResourceError::TooManyCpus {
        wanted: u32::MAX,
        available: 1,
    };
    assert_eq!(
        settings.blame_resource(&error),
        Some("the number of CPUs is set by containers.conf".to_owned())
    );
    assert_eq!(
        settings.blame_resource(&ResourceError::DiskOutOfRange { wanted: 0 }),
        None
    );
}

#[test]
fn time_zone_and_swap_are_checked() {
    let mut layers = layers();
    layers[3].wishes.time_zone = Some("../x".to_owned());
    let error = Settings::resolve(&layers).check().unwrap_err();
    assert_eq!(error.to_string(), "invalid time zone \"../x\"");
    assert_eq!(error.hints()[1], "the time zone is set by containers.conf");
    let mut layers = super::tests::layers();
    layers[0].wishes.swap_mib = Some(LARGEST_SWAP_MIB + 1);
    let error = Settings::resolve(&layers).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "requested amount of swap (1048577 MB) greater than the maximum of 1048576 MB"
    );
    assert_eq!(error.hints(), [""; 0]);
}
