//! What WSL says. Pure.
//!
//! Its words come in the language of Windows and say nothing here. What is the same in every language: the names of
//! distributions, the order of the versions, codes (`Wsl/Service/…/ERROR_…`), addresses and commands. Its text is UTF-16
//! unless it was told to write UTF-8 (`WSL_UTF8`, since 0.64), which the one in Windows itself does not know.

use super::WslError;

/// The page to which WSL sends who cannot have virtual machines.
const ENABLE_VIRTUALIZATION: &str = "aka.ms/enablevirtualization";

/// The oldest that starts systemd (`wsl.conf`, "systemd support": 0.67.6).
const MINIMUM: [u32; 3] = [0, 67, 6];

/// The text, whichever encoding it is in. A line ends with a NUL byte in UTF-16, and there is none in UTF-8.
pub fn decode(bytes: &[u8]) -> String {
    let is_wide = bytes.contains(&0) || std::str::from_utf8(bytes).is_err();
    if !is_wide {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.filter(|c| *c != '\u{feff}').collect()
}

/// The names of a quiet list.
pub fn names(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a distribution is among them. Windows makes no difference between small and capital letters.
pub fn has(names: &[String], distro: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(distro))
}

/// WSL's own version, the first of the versions.
pub fn version(text: &str) -> Option<String> {
    let numeric = |c: char| c.is_ascii_digit() || c == '.';
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let words = line.split(|c: char| !numeric(c));
    let word = words
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.'));
    word.map(str::to_owned)
}

/// Refuses a version that is too old or that nobody can read.
pub fn check_version(found: Option<String>) -> Result<String, WslError> {
    let parts = found.as_deref().map(|text| {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    });
    match found {
        Some(found) if parts >= Some(MINIMUM) => Ok(found),
        found => Err(WslError::TooOld {
            found,
            minimum: MINIMUM.map(|part| part.to_string()).join("."),
        }),
    }
}

/// Whether its status says that Windows' part of virtual machines is off, or not there before a restart. Its words are in
/// every language, and the address is the same (`MessageEnableVirtualization`; so of WSL's own sources).
pub fn is_platform_off(text: &str) -> bool {
    text.contains(ENABLE_VIRTUALIZATION)
}

/// The code of a failure.
pub fn code(text: &str) -> Option<&str> {
    let start = text.find("Wsl/")?;
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_');
    text[start..].split(|c| !belongs(c)).next()
}

/// Why a call about a distribution failed.
pub fn failure(call: &str, distro: &str, text: &str) -> WslError {
    let code = code(text);
    let last = code
        .and_then(|code| code.rsplit('/').next())
        .unwrap_or_default();
    match last {
        "WSL_E_DISTRO_NOT_FOUND" => WslError::Unknown(distro.to_owned()),
        "ERROR_ALREADY_EXISTS" => WslError::Foreign(distro.to_owned()),
        "ERROR_DISK_FULL" | "ERROR_HANDLE_DISK_FULL" => WslError::DiskFull(distro.to_owned()),
        "HCS_E_HYPERV_NOT_INSTALLED" => WslError::VirtualizationOff,
        "ERROR_NOT_SUPPORTED" if code.is_some_and(|code| code.contains("/HCS/")) => {
            WslError::VirtualizationOff
        }
        "HCS_E_SERVICE_NOT_AVAILABLE" | "ERROR_SUCCESS_REBOOT_REQUIRED" => WslError::RebootPending,
        "WSL_E_VM_MODE_NOT_SUPPORTED" | "WSL_E_WSL2_NEEDED" => WslError::Version1Only,
        "WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED" => WslError::NotInstalled,
        _ if text.contains("aka.ms/wslinstall") => WslError::NotInstalled,
        _ if is_platform_off(text) => WslError::VirtualizationOff,
        _ => WslError::Failed {
            call: call.to_owned(),
            code: code.map(str::to_owned),
            said: one_line(text),
        },
    }
}

/// Why a distribution did not start, where what its keeper left behind are WSL's own words.
pub fn known_failure(distro: &str, text: &str) -> Option<WslError> {
    match failure("--exec", distro, text) {
        WslError::Failed { code: None, .. } => None,
        error => Some(error),
    }
}

/// Text that may be shown in one line of a terminal, not more than a few of its own.
fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    let words = text.split(|c: char| c.is_control() || c == ' ');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn both_encodings_in_every_language() {
        for text in [
            "machine-a\r\n",
            "Wird ausgeführt\r\n",
            "完了しました。\r\n",
            "",
        ] {
            assert_eq!(decode(text.as_bytes()), text);
            assert_eq!(decode(&wide(text)), text);
            assert_eq!(decode(&wide(&format!("\u{feff}{text}"))), text);
        }
    }

    #[test]
    fn versions_by_their_place() {
        for text in [
            "WSL version: 2.6.1.0\r\nKernel version: 6.6.87.2-1\r\n",
            "WSL-Version: 2.6.1.0\r\nKernelversion: 6.6.87.2-1\r\n",
            "WSL バージョン: 2.6.1.0\r\nカーネル バージョン: 6.6.87.2-1\r\n",
            "WSL の版：2.6.1.0\r\n",
        ] {
            assert_eq!(version(text).as_deref(), Some("2.6.1.0"), "{text}");
        }
        assert_eq!(version("There is no argument --version\r\n"), None);
        assert_eq!(version(""), None);
        let check = |text: &str| check_version(Some(text.to_owned()));
        assert!(check("0.67.6.0").is_ok() && check("1.0.0.0").is_ok());
        assert_eq!(
            check("0.67.5.9").unwrap_err().to_string(),
            "WSL 0.67.5.9 is too old, and at least 0.67.6 is needed"
        );
        assert_eq!(
            check_version(None).unwrap_err().to_string(),
            "WSL as Windows brings it along is too old, and at least 0.67.6 is needed"
        );
    }

    #[test]
    fn a_status_tells_by_its_address() {
        assert!(!is_platform_off("Standardversion: 2\r\n"));
        let off = "既定の版: 2\r\n仮想化がオフです。\r\nhttps://aka.ms/enablevirtualization\r\n";
        assert!(is_platform_off(off));
    }

    #[test]
    fn names_are_whole_lines_in_any_case() {
        let names = names("machine-a\r\n\r\n machine-a-1\r\n");
        assert_eq!(names, ["machine-a", "machine-a-1"]);
        assert!(has(&names, "MACHINE-A") && !has(&names, "machine-"));
    }

    #[test]
    fn codes_are_the_same_in_every_language() {
        let text =
            "エラー コード: Wsl/Service/RegisterDistro/CreateVm/HCS/HCS_E_HYPERV_NOT_INSTALLED\r\n";
        assert!(matches!(
            failure("--import", "a", text),
            WslError::VirtualizationOff
        ));
        for (last, expected) in [
            (
                "Wsl/Service/WSL_E_DISTRO_NOT_FOUND",
                "WSL has no distribution `a`",
            ),
            (
                "Wsl/Service/RegisterDistro/ERROR_ALREADY_EXISTS",
                "WSL has a distribution `a` that is not of this machine",
            ),
            (
                "Wsl/Service/RegisterDistro/ERROR_DISK_FULL",
                "The host's disk has no room for the distribution `a`",
            ),
            (
                "Wsl/Service/E_UNEXPECTED",
                "`wsl --import` failed (Wsl/Service/E_UNEXPECTED): Fehlercode: Wsl/Service/E_UNEXPECTED",
            ),
        ] {
            let error = failure("--import", "a", &format!("Fehlercode: {last}\r\n"));
            assert_eq!(error.to_string(), expected);
        }
        assert!(matches!(
            failure("--import", "a", "https://aka.ms/wslinstall"),
            WslError::NotInstalled
        ));
    }

    #[test]
    fn a_keeper_that_ends_has_said_nothing_of_wsls() {
        assert!(known_failure("a", "tar: short read\n").is_none());
        let text = "Wsl/Service/CreateInstance/CreateVm/HCS/HCS_E_SERVICE_NOT_AVAILABLE";
        assert!(matches!(
            known_failure("a", text),
            Some(WslError::RebootPending)
        ));
        let text = "Wsl/Service/CreateInstance/E_FAIL";
        let error = known_failure("a", text).unwrap();
        assert!(
            error
                .to_string()
                .contains("(Wsl/Service/CreateInstance/E_FAIL)")
        );
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = decode(&bytes);
            let _ = (names(&text), version(&text), failure("c", "d", &text).to_string());
        }
    }
}
