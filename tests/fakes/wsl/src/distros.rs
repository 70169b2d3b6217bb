//! The distributions: a directory of records, and where each was imported to, its files.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// All of them.
pub(crate) struct Distros {
    records: PathBuf,
}

/// One.
#[derive(Clone, Debug)]
pub(crate) struct Distro {
    pub(crate) name: String,
    /// Its record.
    pub(crate) record: PathBuf,
    /// Its files; WSL has a disk image here.
    pub(crate) root: PathBuf,
    /// Whether its import has not ended.
    pub(crate) installing: bool,
}

/// A user of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

/// Names that WSL takes: letters, digits, dots, underscores and hyphens.
pub(crate) fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(good)
}

impl Distros {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            records: home.join("distros"),
        }
    }

    /// All, in the order of their names.
    pub(crate) fn all(&self) -> io::Result<Vec<Distro>> {
        let mut found = Vec::new();
        if self.records.is_dir() {
            for entry in fs::read_dir(&self.records)? {
                let record = entry?.path();
                // One that is being removed has lost its file already.
                let Ok(place) = fs::read_to_string(record.join("place")) else {
                    continue;
                };
                let name = record.file_name().unwrap_or_default();
                found.push(Distro {
                    name: name.to_string_lossy().into_owned(),
                    root: Path::new(&place).join("rootfs"),
                    installing: record.join("installing").exists(),
                    record,
                });
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The one of this name, in capitals or not.
    pub(crate) fn find(&self, name: &str) -> io::Result<Option<Distro>> {
        let all = self.all()?;
        Ok(all
            .into_iter()
            .find(|distro| distro.name.eq_ignore_ascii_case(name)))
    }

    /// Whether there is a distribution at this place.
    pub(crate) fn has_place(&self, place: &str) -> io::Result<bool> {
        let root = Path::new(place).join("rootfs");
        Ok(self.all()?.iter().any(|distro| distro.root == root) || root.exists())
    }

    /// Registers one whose files are still to come. WSL makes the last directory of the place and no other.
    pub(crate) fn begin(&self, name: &str, place: &str) -> io::Result<Distro> {
        if let Err(error) = fs::create_dir(place)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let record = self.records.join(name);
        fs::create_dir_all(&record)?;
        fs::write(record.join("installing"), "")?;
        fs::write(record.join("place"), place)?;
        let root = Path::new(place).join("rootfs");
        fs::create_dir(&root)?;
        Ok(Distro {
            name: name.to_owned(),
            record,
            root,
            installing: true,
        })
    }
}

impl Distro {
    /// Unpacks a tar file, `-` being the standard input. WSL has `bsdtar` do it, which unpacks gzip and xz as well; the
    /// stand-in takes plain files alone, for everybody can write those.
    pub(crate) fn unpack(&self, file: &str) -> io::Result<()> {
        let source: Box<dyn Read> = if file == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(fs::File::open(file)?)
        };
        let mut archive = tar::Archive::new(source);
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(crate::instance::is_root());
        archive.set_overwrite(true);
        archive.unpack(&self.root)?;
        // A distribution without users cannot be entered.
        fs::metadata(self.root.join("etc/passwd"))?;
        Ok(())
    }

    /// Removes it with its files.
    pub(crate) fn remove(&self) -> io::Result<()> {
        crate::instance::remove_all(&self.root)?;
        crate::instance::remove_all(&self.record)?;
        // The place itself goes where nothing else is in it.
        if let Some(place) = self.root.parent() {
            let _ = fs::remove_dir(place);
        }
        Ok(())
    }

    /// The import has ended well.
    pub(crate) fn complete(&self) -> io::Result<()> {
        fs::remove_file(self.record.join("installing"))
    }

    /// The value of a key of `/etc/wsl.conf`.
    pub(crate) fn setting(&self, section: &str, key: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join("etc/wsl.conf")).ok()?;
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                inside = name == section;
            } else if let Some((name, value)) = line.split_once('=')
                && inside
                && name.trim() == key
            {
                return Some(value.trim().to_owned());
            }
        }
        None
    }

    /// The user of this name, or the one that `/etc/wsl.conf` names, or root.
    pub(crate) fn user(&self, name: Option<&str>) -> io::Result<Option<User>> {
        let usual = self.setting("user", "default");
        let name = name.or(usual.as_deref()).unwrap_or("root");
        let users = fs::read_to_string(self.root.join("etc/passwd"))?;
        Ok(users.lines().find_map(|line| user(line, name)))
    }
}

/// The user of this line of `passwd(5)`, where it has this name.
fn user(line: &str, name: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [found, _, uid, gid, _, home, _] = fields[..] else {
        return None;
    };
    (found == name).then_some(())?;
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_distributions() {
        assert!(is_name("machine-a_b.c"));
        assert!(!is_name("") && !is_name("a b") && !is_name("a/b") && !is_name("ä"));
    }

    #[test]
    fn lines_of_passwd() {
        let line = "core:x:1000:1001::/home/core:/bin/sh";
        let found = user(line, "core").unwrap();
        assert_eq!((found.uid, found.gid), (1000, 1001));
        assert_eq!(user(line, "cor"), None);
        assert_eq!(user("core:x", "core"), None);
    }
}
