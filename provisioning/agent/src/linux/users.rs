//! Users and groups, from the guest's files: a static program has no name service, and needs none for a machine's users.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// More than any such file has.
const LIMIT: u64 = 4 << 20;

/// Later files add users. Fedora CoreOS has its own users in the second ones.
const USERS: [&str; 2] = ["etc/passwd", "usr/lib/passwd"];
const GROUPS: [&str; 2] = ["etc/group", "usr/lib/group"];

/// A user of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) shell: PathBuf,
    /// All groups, the own one first.
    pub(super) groups: Vec<u32>,
}

/// Finds a user by name, or else by number, below what stands for `/`.
pub(super) fn find(root: &Path, wanted: &str) -> io::Result<Option<User>> {
    let users = read(root, USERS)?;
    let by_name = users
        .lines()
        .filter_map(user)
        .find(|user| user.name == wanted);
    let found = by_name.or_else(|| {
        let uid: u32 = wanted.parse().ok()?;
        users.lines().filter_map(user).find(|user| user.uid == uid)
    });
    let Some(mut user) = found else {
        return Ok(None);
    };
    for gid in groups_of(&read(root, GROUPS)?, &user.name) {
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(Some(user))
}

/// The group that terminals belong to, if there is one.
pub(super) fn terminal_group(root: &Path) -> Option<u32> {
    let groups = read(root, GROUPS).ok()?;
    groups.lines().find_map(|line| match fields(line)? {
        ["tty", _, gid, _] => gid.parse().ok(),
        _ => None,
    })
}

fn read(root: &Path, names: [&str; 2]) -> io::Result<String> {
    let mut text = Vec::new();
    for name in names {
        match fs_err::File::open(root.join(name)) {
            Ok(file) => {
                file.take(LIMIT).read_to_end(&mut text)?;
                text.push(b'\n');
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn fields<const COUNT: usize>(line: &str) -> Option<[&str; COUNT]> {
    let fields: Vec<&str> = line.split(':').collect();
    fields.try_into().ok()
}

/// `name:password:uid:gid:comment:home:shell`
fn user(line: &str) -> Option<User> {
    let [name, _, uid, gid, _, home, shell] = fields(line)?;
    let gid = gid.parse().ok()?;
    let or = |text: &str, other: &str| PathBuf::from(if text.is_empty() { other } else { text });
    (!name.is_empty()).then_some(())?;
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid,
        home: or(home, "/"),
        shell: or(shell, "/bin/sh"),
        groups: vec![gid],
    })
}

/// `name:password:gid:member,member`
fn groups_of(text: &str, name: &str) -> Vec<u32> {
    let mut groups = Vec::new();
    for line in text.lines() {
        if let Some([_, _, gid, members]) = fields(line)
            && members.split(',').any(|member| member.trim() == name)
            && let Ok(gid) = gid.parse()
        {
            groups.push(gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        put(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\n\
             broken:x:no:0::/:/bin/sh\n\
             +::::::\n\
             core:x:1000:1001:CoreOS Admin:/var/home/core:/bin/bash\n\
             plain:x:1002:1002:::\n\
             5:x:70:70::/five:/bin/sh",
        );
        put(
            "usr/lib/passwd",
            "bin:x:1:1:bin:/bin:/sbin/nologin\ncore:x:9:9::/:/bin/sh\n",
        );
        put(
            "etc/group",
            "root:x:0:\nwheel:x:10:core,other\ncore:x:1001:core\nodd:x:11: core \nnot:x:12:corex",
        );
        put(
            "usr/lib/group",
            "wheel:x:10:\nsystemd-journal:x:190:core\ntty:x:5:\n",
        );
        root
    }

    #[test]
    fn users_by_name_and_by_number() {
        let root = guest();
        let core = find(root.path(), "core").unwrap().unwrap();
        assert_eq!((core.uid, core.gid), (1000, 1001));
        assert_eq!(core.home, Path::new("/var/home/core"));
        assert_eq!(core.shell, Path::new("/bin/bash"));
        assert_eq!(core.groups, [1001, 10, 11, 190]);
        assert_eq!(find(root.path(), "1000").unwrap().unwrap(), core);
        assert_eq!(find(root.path(), "0").unwrap().unwrap().name, "root");
        assert_eq!(find(root.path(), "bin").unwrap().unwrap().uid, 1);
        // A name that is a number is a name.
        assert_eq!(find(root.path(), "5").unwrap().unwrap().uid, 70);
        let plain = find(root.path(), "plain").unwrap().unwrap();
        assert_eq!(
            (plain.home.as_path(), plain.shell.as_path()),
            (Path::new("/"), Path::new("/bin/sh"))
        );
        for nobody in ["", "broken", "Core", "4294967296", "-1", "core:x"] {
            assert_eq!(find(root.path(), nobody).unwrap(), None, "{nobody}");
        }
    }

    #[test]
    fn the_group_of_terminals() {
        assert_eq!(terminal_group(guest().path()), Some(5));
    }

    #[test]
    fn no_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(root.path(), "root").unwrap(), None);
        assert_eq!(terminal_group(root.path()), None);
    }
}
