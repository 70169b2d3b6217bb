//! Files of checksums as publishers put them beside images: sha256sum's lines, BSD's, and Fedora's signed text. Pure.

use reqwest::Url;

use crate::checksum::Checksum;

/// RFC 9580, section 7.
const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// Two checksums for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict;

/// The SHA-256 of the file `name`, which is the last part of a URL. Where the text is of that file alone, it may also be
/// the only checksum there, without a name or with that of the place where the file was made.
///
/// Signatures are not looked at: whose key it would have to be is not known.
pub(crate) fn find(text: &str, name: &str, alone: bool) -> Result<Option<Checksum>, Conflict> {
    let lines = signed_part(text).lines().filter_map(entry);
    let lines: Vec<(&str, Checksum)> = lines.collect();
    let named = lines.iter().filter(|(of, _)| is(of, name));
    let mut found: Vec<Checksum> = named.map(|(_, checksum)| *checksum).collect();
    if found.is_empty() && alone {
        found = lines.iter().map(|(_, checksum)| *checksum).collect();
    }
    found.dedup();
    match found.as_slice() {
        [] => Ok(None),
        [checksum] => Ok(Some(*checksum)),
        _ => Err(Conflict),
    }
}

/// What a signature is of, where there is one, else all.
fn signed_part(text: &str) -> &str {
    let text = text.split_once(SIGNED).map_or(text, |(_, after)| after);
    text.split_once(SIGNATURE)
        .map_or(text, |(before, _)| before)
}

/// The name and the checksum of a line: `SHA256 (NAME) = HEX`, `HEX  NAME`, `HEX *NAME`, or `HEX`.
fn entry(line: &str) -> Option<(&str, Checksum)> {
    let line = line.trim_end();
    // A signed text has this before a line that begins with a dash, and may have it before any.
    let line = line.strip_prefix("- ").unwrap_or(line);
    if let Some(rest) = line.strip_prefix("SHA256 (") {
        let (name, digits) = rest.rsplit_once(") = ")?;
        return Some((name, Checksum::from_hex(digits)?));
    }
    let (digits, rest) = line.split_at_checked(64)?;
    let checksum = Checksum::from_hex(digits)?;
    let marks = ["  ", " *"];
    let name = marks.iter().find_map(|mark| rest.strip_prefix(mark));
    match name {
        Some(name) => Some((name, checksum)),
        None => rest.is_empty().then_some(("", checksum)),
    }
}

/// Whether the last part of a URL is this name.
fn is(name: &str, part: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    if name == part {
        return true;
    }
    let Ok(mut url) = Url::parse("https://host/") else {
        return false;
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(name);
    }
    !name.is_empty() && url.path().strip_prefix('/') == Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn found(text: &str, alone: bool) -> Result<Option<String>, Conflict> {
        find(text, "disk.raw.xz", alone).map(|found| found.map(|checksum| checksum.hex()))
    }

    #[test]
    fn each_form_is_read() {
        let fedora = format!(
            "SHA256 (disk.raw.xz) = {B}\n{SIGNED}\nHash: SHA256\n\n# disk.raw.xz: 7 bytes\nSHA256 (disk.raw.xz) = {A}\n\
             {SIGNATURE}\n\niQ==\n{B}  disk.raw.xz\n-----END PGP SIGNATURE-----\n"
        );
        let dashed = format!("{SIGNED}\nHash: SHA512\n\n- {A}  disk.raw.xz\n{SIGNATURE}\n");
        for text in [
            format!("{A}  disk.raw.xz\n"),
            format!("{A} *disk.raw.xz\r\n"),
            format!("{}  ./disk.raw.xz", A.to_uppercase()),
            format!("{B}  other\n{A}  disk.raw.xz\n{B}  disk.raw\n"),
            format!("SHA256 (other) = {B}\nSHA256 (disk.raw.xz) = {A}\n"),
            format!("{A}  disk.raw.xz\n{A}  disk.raw.xz\n"),
            fedora,
            dashed,
        ] {
            for alone in [false, true] {
                assert_eq!(found(&text, alone), Ok(Some(A.to_owned())), "{text}");
            }
        }
    }

    #[test]
    fn a_file_of_one_image_need_not_name_it() {
        for text in [
            format!("{A}\n"),
            format!("{A}  /home/builder/out/disk.xz"),
            format!("SHA256 (x) = {A}"),
        ] {
            assert_eq!(found(&text, true), Ok(Some(A.to_owned())), "{text}");
            assert_eq!(found(&text, false), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for text in [
            String::new(),
            "<html>404</html>".to_owned(),
            format!("{A} disk.raw.xz"),
            format!("{A}0  disk.raw.xz"),
            format!("{}  disk.raw.xz", &A[1..]),
            format!("SHA512 (disk.raw.xz) = {A}{B}"),
            format!("SHA256 (disk.raw.xz) = {A}0"),
            "é".repeat(64),
        ] {
            for alone in [false, true] {
                assert_eq!(found(&text, alone), Ok(None), "{text}");
            }
        }
    }

    #[test]
    fn two_checksums_are_a_conflict() {
        let two = format!("{A}  disk.raw.xz\n{B}  disk.raw.xz\n");
        assert_eq!(found(&two, false), Err(Conflict));
        let two = format!("{A}\n{B}\n");
        assert_eq!(found(&two, true), Err(Conflict));
        assert_eq!(found(&two, false), Ok(None));
    }

    #[test]
    fn a_name_may_be_written_otherwise_in_a_url() {
        let text = format!("{A}  my disk.raw\n");
        let found = find(&text, "my%20disk.raw", false).map(|found| found.is_some());
        assert_eq!(found, Ok(true));
        let found = find(&format!("{A}  a/b\n"), "b", false);
        assert_eq!(found, Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(SHA256 \\(|[0-9a-f]{64}|[ -~é\\n*]){0,20}", alone: bool) {
            let _ = find(&text, "x", alone);
        }
    }
}
