//! Where QEMU and its firmware are, and whether the version will do.

use std::path::{Path, PathBuf};

use machine_host::facts::Architecture;
use machine_host::program;

use crate::provider::ProviderError;
use crate::provider::qemu::argv::{Emulation, EmulationThreads};
use crate::provider::qemu::platform;
use crate::provider::version::{self, Version, parse};

/// The oldest QEMU that is tried: Debian 12's.
const MINIMUM: Version = Version(7, 2, 0);

/// The first that keeps pages locked while it translates them (its commit "accel/tcg: Always lock pages before
/// translation").
const PAGES_LOCKED: Version = Version(8, 1, 0);

/// The first that translates `cmpxchg16b` without a helper (its commit "target/i386: Inline cmpxchg16b").
const CX16_INLINE: Version = Version(8, 0, 0);

/// RHEL's QEMU, which is in nobody's `PATH` and only emulates its own architecture.
const PLAIN_PROGRAM: &str = "/usr/libexec/qemu-kvm";
/// Where Homebrew puts programs on Apple's own processors; not in the `PATH` of a session without a login shell.
const HOMEBREW: &str = "/opt/homebrew/bin";

/// UEFI images for aarch64, by distribution: Debian, Fedora, Debian's padded one, Arch, openSUSE.
const FIRMWARE: [&str; 5] = [
    "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
    "/usr/share/edk2/aarch64/QEMU_EFI.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd",
    "/usr/share/edk2/aarch64/QEMU_CODE.fd",
    "/usr/share/qemu/aavmf-aarch64-code.bin",
];

/// The QEMU for this architecture.
pub(super) fn program(
    architecture: Architecture,
    directories: &[PathBuf],
) -> Result<PathBuf, ProviderError> {
    program_by(architecture, directories, &program::find)
}

fn program_by(
    architecture: Architecture,
    directories: &[PathBuf],
    find: &dyn Fn(&str, &[PathBuf]) -> Option<PathBuf>,
) -> Result<PathBuf, ProviderError> {
    let name = format!("qemu-system-{}", architecture.rust_name());
    find(&name, directories)
        .or_else(|| find(&name, &[PathBuf::from(HOMEBREW)]))
        .or_else(|| find(PLAIN_PROGRAM, &[]))
        .ok_or_else(|| ProviderError::ProgramMissing {
            program: name,
            install: install_hint(&platform::os_release(), architecture),
        })
}

/// The UEFI image: none on `x86_64`, where QEMU brings SeaBIOS.
pub(super) fn firmware(
    architecture: Architecture,
    qemu: &Path,
) -> Result<Option<PathBuf>, ProviderError> {
    if architecture == Architecture::X86_64 {
        return Ok(None);
    }
    // Builds that are not a distribution's have it in their own share directory.
    let own = qemu
        .parent()
        .and_then(Path::parent)
        .map(|prefix| prefix.join("share/qemu/edk2-aarch64-code.fd"));
    FIRMWARE
        .iter()
        .map(PathBuf::from)
        .chain(own)
        .find(|path| path.is_file())
        .map(Some)
        .ok_or_else(|| ProviderError::FirmwareMissing {
            architecture: architecture.rust_name(),
            install: install_hint(&platform::os_release(), architecture),
        })
}

/// Asks the program for its version.
pub(super) async fn version(program: &Path) -> Result<String, ProviderError> {
    version::ask(program, version_in).await
}

/// Whether the version will do.
pub(super) fn check_version(program: &Path, version: &str) -> Result<(), ProviderError> {
    match parse(version) {
        Some(found) if found >= MINIMUM => Ok(()),
        _ => Err(ProviderError::TooOld {
            program: program.to_owned(),
            name: "QEMU",
            install: "Install a newer QEMU, or put one first in `PATH`".to_owned(),
            found: version.to_owned(),
            minimum: MINIMUM.minor(),
        }),
    }
}

/// What this QEMU emulates without a fault.
///
/// * Threads: with one for each processor, code is translated while another processor changes it, in every QEMU before
///   [`PAGES_LOCKED`]. The guest's kernel changes its own code by breakpoints, and may run into one that is gone.
///   On a host with two processors a start with one thread took as long, within the noise.
/// * `cmpxchg16b`, before [`CX16_INLINE`]: it takes the flags from what happens to be in a register. An interrupt right
///   after it saves them, and the kernel goes on with a part of an address as its flags: about one start in 200 ended
///   in a panic (flags `8103a7e2` after `cmpxchg16b` with `8103a7a0` in RAX), and no uptime is safe.
pub(super) fn emulation(version: &str) -> Emulation {
    let at_least = |first: Version| parse(version).is_some_and(|found| found >= first);
    Emulation {
        threads: if at_least(PAGES_LOCKED) {
            EmulationThreads::PerProcessor
        } else {
            EmulationThreads::One
        },
        cx16: at_least(CX16_INLINE),
    }
}

/// What a user of an emulated guest has to know of this QEMU.
pub(super) fn emulation_warning(version: &str, architecture: Architecture) -> Option<String> {
    let limited = architecture == Architecture::X86_64 && !emulation(version).cx16;
    limited.then(|| {
        format!(
            "QEMU {version} emulates `cmpxchg16b` wrongly, so the guest is without it, and images made for x86-64-v2 \
             (RHEL 9 and its like) do not run; they need QEMU {} or hardware virtualization",
            CX16_INLINE.minor()
        )
    })
}

/// The version in the first line of `qemu --version`: `QEMU emulator version 7.2.22 (Debian …)`.
fn version_in(text: &str) -> Option<&str> {
    let rest = text
        .lines()
        .next()?
        .strip_prefix("QEMU emulator version ")?;
    let version = rest.split_whitespace().next()?;
    parse(version).map(|_| version)
}

/// The command that installs QEMU here, from the words in os-release.
fn install_hint(os_release: &str, architecture: Architecture) -> String {
    let family = |key: &str| -> Vec<String> {
        os_release
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .flat_map(|value| value.trim_matches('"').split_whitespace())
            .map(str::to_ascii_lowercase)
            .collect()
    };
    let words = [family("ID"), family("ID_LIKE")].concat();
    let is = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    let arm = architecture == Architecture::Aarch64;
    // qemu-utils in the same command: Debian's QEMU otherwise removes a newer one that it conflicts with.
    let command = if is(&["debian", "ubuntu"]) {
        if arm {
            "sudo apt install qemu-system-arm qemu-efi-aarch64 qemu-utils"
        } else {
            "sudo apt install qemu-system-x86 qemu-utils"
        }
    } else if is(&["fedora"]) {
        if arm {
            "sudo dnf install qemu-system-aarch64-core edk2-aarch64"
        } else {
            "sudo dnf install qemu-system-x86-core"
        }
    } else if is(&["rhel", "centos"]) {
        "sudo dnf install qemu-kvm"
    } else if is(&["arch"]) {
        if arm {
            "sudo pacman -S qemu-system-aarch64 edk2-aarch64"
        } else {
            "sudo pacman -S qemu-system-x86"
        }
    } else if is(&["suse", "opensuse"]) || words.iter().any(|word| word.starts_with("opensuse")) {
        if arm {
            "sudo zypper install qemu-arm qemu-uefi-aarch64"
        } else {
            "sudo zypper install qemu-x86"
        }
    } else if is(&["alpine"]) {
        if arm {
            "sudo apk add qemu-system-aarch64 aavmf"
        } else {
            "sudo apk add qemu-system-x86_64"
        }
    } else if is(&["macos"]) {
        "brew install qemu"
    } else {
        return format!(
            "Install QEMU's system emulator for {} with the system's package manager",
            architecture.rust_name()
        );
    };
    format!("Install it with `{command}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_emulators_do_less() {
        let (one, each) = (EmulationThreads::One, EmulationThreads::PerProcessor);
        for (version, threads, cx16) in [
            ("7.2.22", one, false),
            ("8.0.5", one, true),
            ("8.1.0", each, true),
            ("10.0.11", each, true),
            ("11.0.0-rc1", each, true),
            ("nonsense", one, false),
        ] {
            assert_eq!(emulation(version), Emulation { threads, cx16 }, "{version}");
        }
        let warning = |version, architecture| emulation_warning(version, architecture);
        let said = warning("7.2.22", Architecture::X86_64).unwrap();
        assert!(said.starts_with("QEMU 7.2.22 emulates"), "{said}");
        assert!(said.contains("need QEMU 8.0 or"), "{said}");
        assert_eq!(warning("8.0.0", Architecture::X86_64), None);
        assert_eq!(warning("7.2.22", Architecture::Aarch64), None);
    }

    #[test]
    fn versions_of_distributions_are_read() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022\n";
        assert_eq!(version_in(debian), Some("7.2.22"));
        let fedora = "QEMU emulator version 10.1.0 (qemu-10.1.0-5.fc43)\n";
        assert_eq!(version_in(fedora), Some("10.1.0"));
        assert_eq!(
            version_in("QEMU emulator version 9.2.0-rc2\n"),
            Some("9.2.0-rc2")
        );
        for other in [
            "",
            "QEMU emulator version x.y",
            "kvm 1.0",
            "QEMU emulator version ",
        ] {
            assert_eq!(version_in(other), None, "{other}");
        }
        let program = Path::new("/usr/bin/qemu-system-x86_64");
        for good in ["7.2.22", "7.2", "8.0.0", "10.1.0", "10.0.0-rc1"] {
            assert!(check_version(program, good).is_ok(), "{good}");
        }
        let error = check_version(program, "6.2.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/usr/bin/qemu-system-x86_64` is QEMU 6.2.0, and at least 7.2 is needed"
        );
    }

    #[test]
    fn installation_is_named_by_distribution() {
        let hint = |os_release: &str| install_hint(os_release, Architecture::X86_64);
        let debian = "NAME=\"Debian GNU/Linux\"\nID=debian\n";
        assert_eq!(
            hint(debian),
            "Install it with `sudo apt install qemu-system-x86 qemu-utils`"
        );
        assert!(hint("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").contains("apt install"));
        assert!(
            hint("ID=fedora\nVARIANT_ID=coreos\n").contains("dnf install qemu-system-x86-core")
        );
        assert!(hint("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n").contains("dnf install"));
        assert!(hint("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n").contains("zypper"));
        assert!(hint("ID=macos\n").contains("brew install qemu"));
        assert!(hint("").contains("x86_64 with the system's package manager"));
        assert!(install_hint(debian, Architecture::Aarch64).contains("qemu-efi-aarch64"));
    }

    #[tokio::test]
    async fn program_that_says_something_else_is_an_error() {
        let error = version(Path::new("/no/such/qemu")).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::VersionUnknown { .. }),
            "{error}"
        );
    }

    #[test]
    fn program_is_looked_for_where_distributions_put_it() {
        let given = [PathBuf::from("/given")];
        let found_at = |there: &'static str| {
            program_by(Architecture::X86_64, &given, &move |name, directories| {
                // As the real one does: the directories, then `PATH`; a name with a directory is a path.
                let path = [PathBuf::from("/usr/bin")];
                let mut places = directories
                    .iter()
                    .chain(&path)
                    .map(|place| place.join(name));
                places.find(|place| place == Path::new(there))
            })
        };
        for there in [
            "/given/qemu-system-x86_64",
            "/usr/bin/qemu-system-x86_64",
            "/opt/homebrew/bin/qemu-system-x86_64",
            "/usr/libexec/qemu-kvm",
        ] {
            assert_eq!(found_at(there).unwrap(), Path::new(there));
        }
        let error = found_at("/elsewhere/qemu-system-x86_64").unwrap_err();
        assert_eq!(error.to_string(), "`qemu-system-x86_64` was not found");
        assert_eq!(error.hints().len(), 1, "{error:?}");
    }
}
