//! The disk with the real tools, on a file; and mounted by the real kernel, where that is allowed.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use fs_err as fs;
use machine_protocol::boot::{BOOT_FORMAT, DATA_DISK_SERIAL, HostFacts};
use machine_protocol::secret::Secret;

use super::*;
use crate::linux::mounting::testing::Notes;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 80 * MIB;
const TOOLS: [&str; 4] = ["blkid", "mkfs.ext4", "e2fsck", "resize2fs"];

/// A guest that is a directory, with a disk that is a file.
struct Guest {
    _directory: tempfile::TempDir,
    paths: Paths,
    boot: BootParameters,
    kernel: Arc<Notes>,
}

fn real(tool: &str) -> PathBuf {
    let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut paths = places.iter().map(|place| Path::new(place).join(tool));
    paths
        .find(|path| path.exists())
        .expect("e2fsprogs and util-linux are needed")
}

fn run(tool: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(real(tool)).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

impl Guest {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let own = rustix::process::geteuid();
        let uid = if own.is_root() { 1000 } else { own.as_raw() };
        let guest = Self {
            paths: Paths::new(root, uid),
            boot: BootParameters {
                format: BOOT_FORMAT,
                machine: "default".to_owned(),
                secret: Secret::generate().unwrap(),
                user: "core".to_owned(),
                uid,
                rootful: false,
                carriers: Vec::new(),
                host_build: String::new(),
                facts: HostFacts::default(),
                shares: Vec::new(),
                data_disk: None,
            },
            kernel: Arc::default(),
            _directory: directory,
        };
        fs::create_dir_all(guest.at("usr/sbin")).unwrap();
        for tool in TOOLS {
            symlink(real(tool), guest.at("usr/sbin").join(tool)).unwrap();
        }
        fs::create_dir_all(guest.at("etc")).unwrap();
        let users = format!("core:x:{uid}:{uid}::/var/home/core:/bin/sh\n");
        fs::write(guest.at("etc/passwd"), users).unwrap();
        fs::create_dir_all(guest.at("dev")).unwrap();
        guest.blank(SIZE);
        guest
    }

    fn at(&self, name: &str) -> PathBuf {
        self.paths.root().join(name)
    }

    fn disk(&self) -> PathBuf {
        self.at("dev/vdb")
    }

    fn disk_text(&self) -> String {
        self.disk().to_string_lossy().into_owned()
    }

    fn blank(&self, size: u64) {
        let file = fs::File::create(self.disk()).unwrap();
        file.set_len(size).unwrap();
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(self.disk())
            .unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.disk()).unwrap()
    }

    fn work(&self) -> Work<'_, Notes> {
        Work {
            kernel: Arc::clone(&self.kernel),
            paths: &self.paths,
            boot: &self.boot,
        }
    }

    async fn prepare(&self) -> Result<(), Problem> {
        disk::prepare(&self.paths, &self.disk()).await
    }

    /// What the agent does with a disk that is there.
    async fn attach(&self) -> Result<Grown, Problem> {
        self.work().with(Ok(self.disk())).await
    }

    /// It is refused, nothing of it is lost, and nobody can write in its place.
    async fn refused(&self) -> Problem {
        let before = self.bytes();
        let problem = self.attach().await.unwrap_err();
        assert!(before == self.bytes(), "the disk is another: {problem}");
        self.is_blocked();
        problem
    }

    fn is_blocked(&self) {
        let blocked = self.kernel.read_only.lock().unwrap();
        let expected = self.targets();
        assert_eq!(*blocked, expected);
        assert!(
            expected
                .iter()
                .all(|place| place.join("THE-DATA-DISK-IS-MISSING.txt").is_file())
        );
    }

    fn targets(&self) -> Vec<PathBuf> {
        let home = self.at("var/home/core");
        vec![
            self.at("var/lib/containers"),
            self.at("etc/containers/networks"),
            self.at("etc/containers/systemd"),
            home.join(".local/share/containers"),
            home.join(".config/containers/systemd"),
        ]
    }

    fn is_sound(&self) {
        let (code, said) = run("e2fsck", &["-f", "-n", &self.disk_text()]);
        assert_eq!(code, Some(0), "{said}");
        let ends = ends::look(&self.disk(), ends::size(&self.disk()).unwrap()).unwrap();
        assert!(!ends.being_formatted && !ends.blank);
    }
}

#[tokio::test]
async fn a_blank_disk_is_formatted_once() {
    let guest = Guest::new();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    let (code, said) = run("blkid", &["-p", "-o", "export", &guest.disk_text()]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("LABEL=machine-data\n") && said.contains("TYPE=ext4\n"),
        "{said}"
    );
    guest.is_sound();
    let data = guest.at("var/lib/machine/data");
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
    assert!(data.join(".machine-data.json").is_file());
    let mut expected = vec![(guest.disk_text(), data.clone())];
    let inside = [
        "root/containers",
        "root/networks",
        "root/quadlets",
        "user/containers",
        "user/quadlets",
    ];
    for (inside, target) in inside.iter().zip(guest.targets()) {
        assert!(data.join(inside).is_dir());
        // A bind mount is listed with what the directory's file system comes from.
        expected.push((guest.disk_text(), target));
    }
    assert_eq!(*guest.kernel.mounts.lock().unwrap(), expected);
    if rustix::process::geteuid().is_root() {
        let home = guest.at("var/home/core");
        for (path, uid) in [
            (home.join(".local"), 1000),
            (home.join(".config/containers/systemd"), 1000),
            (data.join("user/containers"), 1000),
            (data.join("root/containers"), 0),
            (guest.at("etc/containers/networks"), 0),
        ] {
            let there = fs::metadata(&path).unwrap();
            assert_eq!((there.uid(), there.gid()), (uid, uid), "{}", path.display());
        }
    }

    // An agent that is started again finds all as it is, and asks no tool.
    fs::remove_dir_all(guest.at("usr")).unwrap();
    let before = guest.bytes();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    assert!(before == guest.bytes());
    assert_eq!(*guest.kernel.mounts.lock().unwrap(), expected);
}

/// Whatever a power cut leaves of it, it is done again; without the mark the same bytes are a stranger's.
#[tokio::test]
async fn formatting_that_was_cut_off_is_done_again() {
    let guest = Guest::new();
    guest.prepare().await.unwrap();
    let whole = guest.bytes();
    let length = whole.len();
    let cuts = [
        0,
        512,
        1024,
        1536,
        2048,
        4096,
        8192,
        1 << 16,
        1 << 20,
        length / 2,
        length,
    ];
    for cut in cuts {
        for first_half in [true, false] {
            let (kept, offset) = if first_half {
                (&whole[..cut], 0)
            } else {
                (&whole[cut..], cut as u64)
            };
            guest.blank(SIZE);
            guest.put(offset, kept);
            let unmarked = guest.bytes();
            ends::put_mark(&guest.disk(), SIZE).unwrap();
            let done = guest.prepare().await;
            assert_eq!(done, Ok(()), "{cut} {first_half}");
            guest.is_sound();

            // Once more without the mark, where it does not look like a file system.
            let superblock = unmarked[1080..1082] == [0x53, 0xef];
            let blank = unmarked[..1 << 20].iter().all(|byte| *byte == 0);
            if superblock || blank {
                continue;
            }
            guest.blank(SIZE);
            guest.put(0, &unmarked);
            guest.prepare().await.unwrap_err();
            assert!(unmarked == guest.bytes(), "{cut} {first_half}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_is_missing_or_fails_is_named() {
    let guest = Guest::new();
    let tool = guest.at("usr/sbin/mkfs.ext4");
    fs::remove_file(&tool).unwrap();
    let problem = guest.attach().await.unwrap_err();
    assert_eq!(
        problem,
        "the data disk cannot be used: the guest has no `mkfs.ext4`"
    );
    guest.is_blocked();
    // One that is killed halfway.
    let script = format!(
        "#!/bin/sh\nhead -c 40000 /dev/urandom | dd of='{}' bs=4096 seek=1 conv=notrunc 2>/dev/null\nexit 1\n",
        guest.disk_text()
    );
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let problem = guest.attach().await.unwrap_err();
    assert!(
        problem.starts_with(
            "the data disk could not be formatted: `mkfs.ext4` ended with exit status: 1"
        ),
        "{problem}"
    );
    // Nothing was lost by it, so the next start does it again; the notes give way.
    fs::remove_file(&tool).unwrap();
    symlink(real("mkfs.ext4"), &tool).unwrap();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    guest.is_sound();
    assert!(!guest.kernel.sources().contains(&places::MISSING.to_owned()));

    let guest = Guest::new();
    fs::remove_file(guest.at("usr/sbin/blkid")).unwrap();
    let problem = guest.refused().await;
    assert_eq!(
        problem,
        "the data disk cannot be used: the guest has no `blkid`"
    );
}

#[tokio::test]
async fn a_foreign_disk_is_left_alone() {
    let guest = Guest::new();
    run("mkfs.ext4", &["-q", "-L", "photos", &guest.disk_text()]);
    assert_eq!(
        guest.refused().await,
        "the data disk holds something else and is left as it is: `ext4` with the label `photos`"
    );
}

/// A table of partitions as old as the PC: one entry, and the two bytes at the end of the sector.
#[tokio::test]
async fn a_disk_with_partitions_is_left_alone() {
    let guest = Guest::new();
    guest.put(446, &[0, 0, 2, 0, 0x83, 0, 3, 0, 0, 8, 0, 0, 0, 16, 0, 0]);
    guest.put(510, &[0x55, 0xaa]);
    assert_eq!(
        guest.refused().await,
        "the data disk holds something else and is left as it is: a table of partitions (`dos`) without a label"
    );
}

#[tokio::test]
async fn unknown_bytes_are_left_alone() {
    for offset in [0, 5000, SIZE - 1] {
        let guest = Guest::new();
        guest.put(offset, b"!");
        let problem = guest.refused().await;
        assert!(
            problem.starts_with("the data disk is not blank, and holds no file system"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn another_users_disk_is_left_alone() {
    let guest = Guest::new();
    guest.prepare().await.unwrap();
    let other = Owner::of(&BootParameters {
        user: "ann".to_owned(),
        uid: 7,
        ..guest.boot.clone()
    });
    let data = guest.at("var/lib/machine/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join(owner::FILE), serde_json::to_vec(&other).unwrap()).unwrap();
    let problem = guest.refused().await;
    assert!(
        problem.contains("belongs to another user") && problem.contains("`ann` (uid 7)"),
        "{problem}"
    );
    // It is not even mounted any more.
    assert!(!guest.kernel.sources().contains(&guest.disk_text()));
}

#[tokio::test]
async fn a_damaged_disk_is_mended_or_told() {
    let guest = Guest::new();
    guest.prepare().await.unwrap();
    // It says that errors were found, and there are none.
    run(
        "debugfs",
        &["-w", "-R", "set_super_value state 2", &guest.disk_text()],
    );
    guest.prepare().await.unwrap();
    guest.is_sound();

    // The descriptors of all groups.
    guest.put(4096, &[0; 4096]);
    let problem = guest.attach().await.unwrap_err();
    assert!(
        problem.starts_with("the data disk is damaged, and `e2fsck -p` in the guest could not mend it: machine-data: "),
        "{problem}"
    );
    guest.is_blocked();
}

#[tokio::test]
async fn a_disk_that_was_cut_off_is_told() {
    let guest = Guest::new();
    guest.blank(100 * MIB);
    guest.prepare().await.unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(guest.disk())
        .unwrap();
    file.set_len(90 * MIB).unwrap();
    assert_eq!(
        guest.refused().await,
        "the data disk is damaged: it was cut off at 90 MiB, and its file system has 99"
    );
    guest.blank(32 * MIB);
    let problem = guest.attach().await.unwrap_err();
    assert_eq!(
        problem,
        "the data disk is too small: it has 32 MiB and needs 64"
    );
}

#[tokio::test]
async fn a_disk_that_is_not_there_is_told() {
    let guest = Guest::new();
    let device = device::find(
        guest.paths.root(),
        DATA_DISK_SERIAL,
        Duration::from_millis(20),
    )
    .await;
    let problem = guest.work().with(device).await.unwrap_err();
    assert!(
        problem.starts_with("the data disk is not attached"),
        "{problem}"
    );
    guest.is_blocked();
}

#[tokio::test]
async fn a_guest_without_the_user_is_told() {
    let guest = Guest::new();
    fs::remove_file(guest.at("etc/passwd")).unwrap();
    let problem = guest.attach().await.unwrap_err();
    assert_eq!(
        problem,
        "the data disk cannot be used: the guest has no user `core`"
    );
    let blocked = guest.kernel.read_only.lock().unwrap();
    assert_eq!(*blocked, guest.targets()[..3]);
}

#[tokio::test]
async fn a_larger_disk_is_filled() {
    let guest = Guest::new();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    let size = || superblock::size(&guest.disk()).unwrap().unwrap().bytes();
    assert_eq!(size(), SIZE - MIB);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(guest.disk())
        .unwrap();
    file.set_len(200 * MIB).unwrap();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    assert_eq!(size(), 199 * MIB);
    guest.is_sound();

    // A failure costs room and nothing else, and is told.
    file.set_len(300 * MIB).unwrap();
    let resize = guest.at("usr/sbin/resize2fs");
    fs::remove_file(&resize).unwrap();
    let small = guest.attach().await.unwrap().unwrap_err();
    let what = "the data disk has 300 MiB, and its file system stays at 199 MiB: ";
    assert!(small.starts_with(what), "{small}");
    assert!(small.contains("`machine restart` tries again"), "{small}");
    symlink("/bin/false", &resize).unwrap();
    let small = guest.attach().await.unwrap().unwrap_err();
    assert!(small.starts_with(what), "{small}");
    assert_eq!(size(), 199 * MIB);
    fs::remove_file(&resize).unwrap();
    symlink(real("resize2fs"), &resize).unwrap();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    assert_eq!(size(), 299 * MIB);
}

#[tokio::test]
async fn a_guest_with_labels_must_be_able_to_set_them() {
    let guest = Guest::new();
    fs::create_dir_all(guest.at("sys/fs/selinux")).unwrap();
    fs::write(guest.at("sys/fs/selinux/enforce"), "1").unwrap();
    let problem = guest.attach().await.unwrap_err();
    assert_eq!(
        problem,
        "the data disk could not be labelled: the guest has no `restorecon`"
    );
    guest.is_blocked();
}

/// A directory in the home may lead elsewhere, and what the disk has may not be a directory.
#[tokio::test]
async fn links() {
    let guest = Guest::new();
    let home = guest.at("var/home/core");
    fs::create_dir_all(home.join(".local")).unwrap();
    fs::create_dir_all(guest.at("srv")).unwrap();
    symlink(guest.at("srv"), home.join(".local/share")).unwrap();
    assert_eq!(guest.attach().await, Ok(Ok(())));
    let mounts = guest.kernel.mounts.lock().unwrap().clone();
    assert_eq!(mounts[4].1, guest.at("srv/containers"));

    let guest = Guest::new();
    let data = guest.at("var/lib/machine/data");
    assert_eq!(guest.attach().await, Ok(Ok(())));
    guest.kernel.mounts.lock().unwrap().truncate(1);
    fs::remove_dir(data.join("root/networks")).unwrap();
    symlink("/etc", data.join("root/networks")).unwrap();
    let problem = guest.attach().await.unwrap_err();
    assert!(problem.contains("is no directory"), "{problem}");
}

/// Mounts of a test, which do not outlive it.
struct Mounted {
    guest: Guest,
    device: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut places = self.guest.targets();
        places.push(self.guest.at("var/lib/machine/data"));
        for place in places {
            // Notes may lie over it.
            while Linux.unmount(&place).is_ok() {}
        }
        run("losetup", &["-d", &self.device.to_string_lossy()]);
    }
}

/// Whether the kernel lets this process change the size of what is mounted (`CAP_SYS_RESOURCE`), which containers forbid.
fn may_resize() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap().trim(), 16).unwrap();
    effective & (1 << 24) != 0
}

#[tokio::test]
async fn the_real_kernel_mounts_and_grows_it() {
    let guest = Guest::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (code, device) = run("losetup", &["--find", "--show", &guest.disk_text()]);
    if code != Some(0) {
        return;
    }
    let device = PathBuf::from(device.trim());
    let mounted = Mounted { guest, device };
    let (guest, device) = (&mounted.guest, &mounted.device);
    let work = Work {
        kernel: Arc::new(Linux),
        paths: &guest.paths,
        boot: &guest.boot,
    };
    match work.with(Ok(device.clone())).await {
        Ok(grown) => assert_eq!(grown, Ok(())),
        // A sandbox without mounts.
        Err(problem) if problem.contains("Operation not permitted") => return,
        Err(problem) => panic!("{problem}"),
    }
    let data = guest.at("var/lib/machine/data");
    fs::write(guest.at("var/lib/containers/file"), "kept").unwrap();
    let mut text = String::new();
    let mut file = fs::File::open(data.join("root/containers/file")).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    let table = Linux.mounts().unwrap();
    let lines = |table: &[u8]| {
        String::from_utf8_lossy(table)
            .matches(&*device.to_string_lossy())
            .count()
    };
    assert_eq!(lines(&table), 6);

    // Another agent of the same boot, on a disk that has grown meanwhile.
    let file = fs::OpenOptions::new()
        .write(true)
        .open(guest.disk())
        .unwrap();
    file.set_len(200 * MIB).unwrap();
    run("losetup", &["-c", &device.to_string_lossy()]);
    let grown = work.with(Ok(device.clone())).await.unwrap();
    assert_eq!(grown.is_ok(), may_resize());
    assert_eq!(lines(&Linux.mounts().unwrap()), 6);
    let size = superblock::size(device).unwrap().unwrap();
    let grown = if may_resize() { 199 } else { 79 };
    assert_eq!(size.bytes(), grown * MIB);

    // A start with another user, and then with the right one.
    let problem = {
        let other = BootParameters {
            uid: 7,
            ..guest.boot.clone()
        };
        let work = Work {
            kernel: Arc::new(Linux),
            paths: &guest.paths,
            boot: &other,
        };
        work.with(Ok(device.clone())).await.unwrap_err()
    };
    assert!(problem.contains("another user"), "{problem}");
    fs::write(guest.at("var/lib/containers/lost"), "").unwrap_err();
    let grown = work.with(Ok(device.clone())).await.unwrap();
    assert_eq!(grown.is_ok(), may_resize());
    assert_eq!(
        fs::read(guest.at("var/lib/containers/file")).unwrap(),
        b"kept"
    );
}
