//! Lines of ours in the guest's `/etc/hosts`, from which containers get their names too.

use std::io;
use std::path::Path;

use super::files;

/// Has the one line that ends with `mark` be this one, or be gone; whether that was a change. All others stay.
pub(super) fn set(hosts: &Path, mark: &str, line: Option<&str>) -> io::Result<bool> {
    let old = files::read(hosts)?.unwrap_or_default();
    let text = str::from_utf8(&old)
        .map_err(|_| io::Error::other(format!("`{}` is not text", hosts.display())))?;
    let others = text.lines().filter(|line| !line.trim_end().ends_with(mark));
    let ours = line.map(|line| format!("{line} {mark}"));
    let lines: Vec<&str> = others.chain(ours.as_deref()).collect();
    let mut new = lines.join("\n");
    if !new.is_empty() {
        new.push('\n');
    }
    // Without a line of ours, before or after, the file is nobody's but the guest's.
    if line.is_none() && lines.len() == text.lines().count() {
        return Ok(false);
    }
    files::write(hosts, new.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_once_moved_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        let text = || fs_err::read_to_string(&hosts).unwrap();
        fs_err::write(&hosts, "127.0.0.1 localhost\n192.0.2.9 other # theirs").unwrap();
        assert!(!set(&hosts, "# ours", None).unwrap());
        assert_eq!(text(), "127.0.0.1 localhost\n192.0.2.9 other # theirs");

        for line in ["10.0.2.2 a b", "10.1.2.2 a b"] {
            assert!(set(&hosts, "# ours", Some(line)).unwrap());
            assert!(!set(&hosts, "# ours", Some(line)).unwrap());
            assert_eq!(
                text(),
                format!("127.0.0.1 localhost\n192.0.2.9 other # theirs\n{line} # ours\n")
            );
        }
        assert!(set(&hosts, "# ours", None).unwrap());
        assert_eq!(text(), "127.0.0.1 localhost\n192.0.2.9 other # theirs\n");

        fs_err::remove_file(&hosts).unwrap();
        assert!(!set(&hosts, "# ours", None).unwrap());
        assert!(set(&hosts, "# ours", Some("::1 a")).unwrap());
        assert_eq!(text(), "::1 a # ours\n");
    }

    #[test]
    fn a_file_that_is_no_text_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs_err::write(&hosts, b"\xff\xfe").unwrap();
        let error = set(&hosts, "# ours", Some("::1 a")).unwrap_err();
        assert!(error.to_string().ends_with("is not text"), "{error}");
        assert_eq!(fs_err::read(&hosts).unwrap(), b"\xff\xfe");
    }
}
