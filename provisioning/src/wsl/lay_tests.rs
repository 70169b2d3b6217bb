//! Archives made here, laid, and read back by the crate.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tar::Builder;

use super::*;
use crate::guest::{GuestSpec, HostKey};

const LIMIT: u64 = 1 << 30;

fn tree() -> Tree {
    let spec = GuestSpec {
        user: "core".to_owned(),
        uid: 1000,
        authorized_key: "ssh-ed25519 AAAAclient machine".to_owned(),
        host_key: HostKey {
            private: "private".to_owned(),
            public: "ssh-ed25519 AAAAhost".to_owned(),
        },
        mounts: Vec::new(),
    };
    super::super::tree(&spec).unwrap()
}

/// An image that is being made.
struct Image(Builder<Vec<u8>>);

impl Image {
    /// The least that is one.
    fn new() -> Self {
        let mut image = Self(Builder::new(Vec::new()));
        image.file("./etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
        image.file("etc/group", b"root:x:0:\nwheel:x:10:\n");
        image.file("etc/shadow", b"root:*:::::::\n");
        image.file("usr/lib/systemd/systemd", b"elf");
        image
    }

    fn add(&mut self, path: &str, kind: EntryType, bytes: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_size(0);
            let target = std::str::from_utf8(bytes).unwrap();
            self.0.append_link(&mut header, path, target).unwrap();
        } else {
            header.set_size(bytes.len() as u64);
            self.0.append_data(&mut header, path, bytes).unwrap();
        }
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        self.add(path, EntryType::Regular, bytes);
    }

    /// A member whose name the crate would not write.
    fn raw(&mut self, name: &[u8], kind: EntryType, size: u64, target: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        self.0.append(&header, io::empty()).unwrap();
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn lay(self) -> Result<Vec<u8>, LayError> {
        laid(&self.bytes())
    }
}

fn laid(image: &[u8]) -> Result<Vec<u8>, LayError> {
    let mut out = Vec::new();
    lay(&tree(), image, &mut out, LIMIT)?;
    Ok(out)
}

type Found = BTreeMap<String, (EntryType, u32, Vec<u8>)>;

/// What is in an archive, each path once.
fn read(archive: &[u8]) -> Found {
    let mut found = Found::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap();
        let mut bytes = Vec::new();
        match entry.link_name_bytes() {
            Some(target) => bytes.extend(target.as_ref()),
            None => drop(entry.read_to_end(&mut bytes).unwrap()),
        }
        let path = path.trim_start_matches("./").trim_end_matches('/');
        let before = found.insert(path.to_owned(), (kind, mode, bytes));
        assert!(before.is_none() || kind == EntryType::Directory, "{path}");
    }
    found
}

#[test]
fn the_tree_is_in_the_image_and_the_rest_stays() {
    let mut image = Image::new();
    image.file("etc/subuid", b"old:1:1\n");
    let long = format!("usr/share/{}/file", "long".repeat(60));
    image.file(&long, b"content");
    image.add("usr/bin/sh", EntryType::Symlink, b"bash");
    image.add("usr/bin/twin", EntryType::Link, b"usr/lib/systemd/systemd");
    let before = image.bytes();
    let after = laid(&before).unwrap();
    let (was, is) = (read(&before), read(&after));
    for (path, member) in &was {
        if !path.starts_with("etc/") {
            assert_eq!(is.get(path), Some(member), "{path}");
        }
    }
    let text = |path: &str| String::from_utf8(is[path].2.clone()).unwrap();
    assert_eq!(text("etc/subuid"), "core:100000:1000000\n");
    assert!(text("etc/passwd").ends_with("\ncore:x:1000:1000::/home/core:/bin/bash\n"));
    assert_eq!(
        text("etc/group"),
        "root:x:0:\nwheel:x:10:core\ncore:x:1000:\n"
    );
    assert_eq!(text("etc/shadow"), "root:*:::::::\ncore:*:::::::\n");
    assert_eq!(is["etc/passwd"].1, 0o644);
    for path in tree().entries.keys() {
        assert!(is.contains_key(path), "{path}");
    }
    // Once more is the same.
    assert_eq!(read(&laid(&after).unwrap()), is);
}

#[test]
fn links_of_the_image_are_followed_to_where_they_lead() {
    let mut image = Image::new();
    image.add("home", EntryType::Symlink, b"var/home");
    image.add(
        "etc/sudoers.d/50-machine",
        EntryType::Symlink,
        b"/elsewhere",
    );
    let is = read(&image.lay().unwrap());
    assert!(is.contains_key("var/home/core/.ssh/authorized_keys"));
    assert!(!is.keys().any(|path| path.starts_with("home/")));
    assert_eq!(is["etc/sudoers.d/50-machine"].0, EntryType::Regular);
}

#[test]
fn what_comes_later_has_the_path() {
    let mut image = Image::new();
    image.add("home", EntryType::Symlink, b"var/home");
    image.add("home/", EntryType::Directory, b"");
    let is = read(&image.lay().unwrap());
    assert!(is.contains_key("home/core/.ssh/authorized_keys"));
}

/// A map that goes on behind the header, and data that is shorter than the file (GNU tar, "Old GNU Format").
#[test]
fn sparse_files_stay_as_they_are() {
    let mut image = Image::new();
    let mut header = Header::new_gnu();
    header.set_path("sparse").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(512);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_is_extended(true);
    gnu.set_real_size(1 << 20);
    for number in 0..4 {
        gnu.sparse[number].set_offset(number as u64 * 4096);
        gnu.sparse[number].set_length(0);
    }
    header.set_cksum();
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse[0].set_offset((1 << 20) - 512);
    more.sparse[0].set_length(512);
    let mut data = more.as_bytes().to_vec();
    data.extend([b's'; 512]);
    image.0.get_mut().extend(header.as_bytes());
    image.0.get_mut().extend(data);
    image.file("after", b"x");
    let is = read(&image.lay().unwrap());
    let content = &is["sparse"].2;
    assert_eq!(content.len(), 1 << 20);
    assert!(content.ends_with(&[b's'; 512]) && content.starts_with(&[0; 4096]));
    assert_eq!(is["after"].2, b"x");
}

#[test]
fn a_changed_header_is_noticed() {
    let mut bytes = Image::new().bytes();
    // The mode of the first member.
    bytes[104] ^= 1;
    assert_eq!(
        laid(&bytes).unwrap_err().to_string(),
        "The image is no good tar file: a header's sum is wrong"
    );
}

#[test]
fn capabilities_of_programs_stay() {
    let mut image = Image::new();
    let records = [(
        "SCHILY.xattr.security.capability",
        b"\x01\0\0\x02".as_slice(),
    )];
    image.0.append_pax_extensions(records).unwrap();
    image.file("usr/bin/newuidmap", b"elf");
    let out = image.lay().unwrap();
    let mut archive = tar::Archive::new(&out[..]);
    let mut found = false;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().as_ref() == b"usr/bin/newuidmap" {
            let mut records = entry.pax_extensions().unwrap().unwrap();
            let record = records.next().unwrap().unwrap();
            assert_eq!(record.value_bytes(), b"\x01\0\0\x02");
            found = true;
        }
    }
    assert!(found);
}

fn refusal(image: Image) -> String {
    image.lay().unwrap_err().to_string()
}

#[test]
fn what_leads_out_is_refused() {
    for name in ["../evil", "a/../../evil", "/../x", "etc/.."] {
        let mut image = Image::new();
        image.raw(name.as_bytes(), EntryType::Regular, 0, b"");
        assert_eq!(
            refusal(image),
            format!("`{name}` in the image leads out of the tree")
        );
        let mut image = Image::new();
        image.raw(b"a", EntryType::Link, 0, name.as_bytes());
        assert_eq!(
            refusal(image),
            format!("`{name}` in the image leads out of the tree")
        );
        let mut image = Image::new();
        image
            .0
            .append_pax_extensions([("path", name.as_bytes())])
            .unwrap();
        image.file("harmless", b"");
        assert_eq!(
            refusal(image),
            format!("`{name}` in the image leads out of the tree")
        );
    }
}

#[test]
fn lists_of_users_are_plain_files_of_their_own() {
    let mut link = Image::new();
    link.add("etc/passwd", EntryType::Symlink, b"/usr/etc/passwd");
    assert_eq!(refusal(link), "`etc/passwd` in the image is no plain file");
    let mut twin = Image::new();
    twin.add("twin", EntryType::Link, b"./etc/shadow");
    assert_eq!(
        refusal(twin),
        "`twin` in the image is a second name of a file that is to be changed"
    );
    let mut replaced = Image::new();
    replaced.file("etc/subgid", b"");
    replaced.add("twin", EntryType::Link, b"etc/subgid");
    assert!(refusal(replaced).starts_with("`twin` in the image is a second name"));
    let mut large = Image::new();
    large.file("etc/group", &vec![b'a'; (1 << 20) + 1]);
    assert_eq!(refusal(large), "`etc/group` in the image is too large");
    let mut binary = Image::new();
    binary.file("etc/group", b"\xff");
    assert_eq!(refusal(binary), "`etc/group` in the image is no text");
}

#[test]
fn what_is_no_tree_of_a_system() {
    let bare = |files: &[&str]| {
        let mut image = Image(Builder::new(Vec::new()));
        for file in files {
            image.file(file, b"");
        }
        refusal(image)
    };
    assert_eq!(
        bare(&["a"]),
        "The image has no systemd, which a machine is run by"
    );
    let boots = "usr/lib/systemd/systemd";
    assert_eq!(
        bare(&[boots]),
        "The image has no `/etc/passwd`, so it is no tree of a system"
    );
    assert!(bare(&["lib/systemd/systemd", "etc/passwd"]).contains("/etc/group"));
    let mut directory = Image::new();
    directory.add("etc/wsl.conf/", EntryType::Directory, b"");
    assert_eq!(
        refusal(directory),
        "`etc/wsl.conf` in the image is a directory, and has to be a file"
    );
    let mut file = Image::new();
    file.file("home/core", b"");
    assert_eq!(
        refusal(file),
        "`home/core` in the image is no directory, and has to be one"
    );
}

#[test]
fn huge_members_are_refused_before_they_are_read() {
    let mut image = Image::new();
    image.raw(b"huge", EntryType::Regular, LIMIT, b"");
    assert_eq!(
        refusal(image),
        format!("The image holds more than {LIMIT} bytes")
    );
    let mut image = Image::new();
    image.raw(b"records", EntryType::XHeader, LIMIT, b"");
    assert_eq!(
        refusal(image),
        "The image is no good tar file: a record is too large"
    );
    let mut image = Image::new();
    image
        .0
        .append_pax_extensions([("size", b"9000000000".as_slice())])
        .unwrap();
    image.file("larger", b"");
    assert_eq!(
        refusal(image),
        "`larger` in the image is larger than its header can say"
    );
    let mut image = Image::new();
    image.raw(b"a", EntryType::Symlink, 5, b"b");
    assert_eq!(
        refusal(image),
        "The image is no good tar file: a link has data"
    );
}

#[test]
fn a_loop_of_links_is_refused() {
    let mut image = Image::new();
    image.add("home", EntryType::Symlink, b"home2");
    image.add("home2", EntryType::Symlink, b"/home");
    assert_eq!(
        refusal(image),
        "`home/core` in the image leads through too many links"
    );
}

proptest! {
    /// However an image is cut or changed, the answer is a tree or an error, and a short one is never a tree.
    #[test]
    fn damage_is_an_error(cut in 0_usize..4096, at in 0_usize..4096, byte: u8) {
        let whole = Image::new().bytes();
        let end = whole.len() - 1024;
        let cut = cut.min(end);
        prop_assert!(laid(&whole[..cut]).is_err());
        let mut changed = whole;
        let at = at.min(end);
        changed[at] = byte;
        let _ = laid(&changed);
    }

    /// Members of any names and contents are kept as they are.
    #[test]
    fn other_members_are_kept(
        files in prop::collection::btree_map(
            "[a-z]{1,8}(/[a-z.]{3,120}z){0,2}",
            prop::collection::vec(any::<u8>(), 0..1500),
            0..8,
        )
    ) {
        let mut image = Image::new();
        for (path, bytes) in &files {
            image.file(&format!("x/{path}"), bytes);
        }
        let is = read(&image.lay().unwrap());
        for (path, bytes) in &files {
            prop_assert_eq!(&is[&format!("x/{path}")].2, bytes);
        }
    }
}
