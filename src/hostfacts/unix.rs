//! Unix: the link `/etc/localtime`, and on older Debian the text `/etc/timezone`.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;

use super::time_zone::of_link;
use crate::machine::time_zone::is_name;

/// The zone of a host that has none.
const NONE: &str = "UTC";

/// The zone of the host's clock.
pub(super) fn clock_zone() -> Option<String> {
    let link = Path::new("/etc/localtime");
    let zone = of_link(link).or_else(|| of_text(Path::new("/etc/timezone")));
    let missing = || {
        link.symlink_metadata()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    zone.or_else(|| missing().then(|| NONE.to_owned()))
}

/// The zone that stands in a file.
fn of_text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let name = text.lines().next()?.trim();
    is_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("timezone");
        assert_eq!(of_text(&file), None);
        fs::write(&file, "Europe/Berlin\n").unwrap();
        assert_eq!(of_text(&file).as_deref(), Some("Europe/Berlin"));
        fs::write(&file, "/etc/passwd\n").unwrap();
        assert_eq!(of_text(&file), None);
    }
}
