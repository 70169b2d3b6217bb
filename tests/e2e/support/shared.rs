//! One booted machine for all tests that only read it or add containers of their own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use super::command::{clean, run};
use super::home::{BOOT, Home};
use super::stage::Stage;

/// The shared machine's name.
pub(crate) const NAME: &str = "shared";
/// The image that its containers run: BusyBox and nothing else.
pub(crate) const IMAGE: &str = "localhost/busybox:e2e";

/// What of BusyBox is in [`IMAGE`].
const APPLETS: &str = "cat chmod chown cp dd echo false grep head httpd id ln ls mkdir mkfifo mv nc nsenter ps rm seq sh \
                        sha256sum sleep stat stty touch true wc wget";

static SHARED: LazyLock<Mutex<Option<Shared>>> = LazyLock::new(|| Mutex::new(None));
static WITH_VSOCK: LazyLock<Mutex<Option<Shared>>> = LazyLock::new(|| Mutex::new(None));

/// The carrier of a machine's link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// What every machine has.
    VirtioSerial,
    /// By the program vhost-device-vsock, for the host's kernel need not have any.
    Vsock,
}

struct Shared {
    home: Home,
    socket: PathBuf,
}

/// Runs `use_it` with the shared machine's home and API socket; the machine is booted by the first who comes.
pub(crate) fn with<T>(use_it: impl FnOnce(&Home, &std::path::Path) -> T) -> T {
    over(Carrier::VirtioSerial, use_it)
}

/// [`with`] the shared machine whose link has this carrier.
pub(crate) fn over<T>(carrier: Carrier, use_it: impl FnOnce(&Home, &std::path::Path) -> T) -> T {
    let mut shared = machine(carrier)
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let shared = shared.get_or_insert_with(|| {
        let home = match carrier {
            Carrier::VirtioSerial => {
                let home = Home::new("shared");
                let volumes = make_folders(&home);
                let volumes = volumes.iter().flat_map(|volume| ["--volume", volume]);
                let more: Vec<&str> = volumes.chain(["--now"]).collect();
                home.init(NAME, &more);
                home
            }
            Carrier::Vsock => {
                let home = Home::new("vsock");
                home.init(NAME, &["--now", "--vsock", "user-first"]);
                home
            }
        };
        let socket = home.api_socket(NAME);
        import_busybox(&home, &socket);
        Shared { home, socket }
    });
    use_it(&shared.home, &shared.socket)
}

/// The folder that the guest of virtio-serial has under the same path, as it has a home.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.path().join("folder of ä")
}

/// Where that guest has a folder with a `file` in which it can change nothing: in somebody's home, and in `/`, which takes a
/// guest that was made for it.
pub(crate) fn read_only_targets() -> [&'static str; 2] {
    ["/home/ann/read only", "/data/of mine"]
}

/// Of what changes there that guest is told; and where it has it.
pub(crate) fn watched_folder(home: &Home) -> (PathBuf, &'static str) {
    (home.path().join("watched"), "/mnt/watched")
}

fn make_folders(home: &Home) -> [String; 4] {
    let (open, closed) = (folder(home), home.path().join("closed"));
    let (watched, place) = watched_folder(home);
    for directory in [&open, &closed, &watched] {
        fs_err::create_dir_all(directory).expect("a directory can be made");
    }
    fs_err::write(closed.join("file"), "kept\n").expect("a file can be written");
    let [one, other] = read_only_targets().map(|to| format!("{}:{to}:ro", closed.display()));
    let watched = format!("{}:{place}:watch", watched.display());
    [format!("{}", open.display()), one, other, watched]
}

fn machine(carrier: Carrier) -> &'static Mutex<Option<Shared>> {
    match carrier {
        Carrier::VirtioSerial => &SHARED,
        Carrier::Vsock => &WITH_VSOCK,
    }
}

/// Removes the shared machine of this carrier and says what is left of it.
pub(crate) fn dispose(carrier: Carrier) -> Result<(), String> {
    let shared = machine(carrier)
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    shared.map_or(Ok(()), |mut shared| shared.home.dispose())
}

/// `podman-remote` on an API socket.
pub(crate) fn podman(home: &Home, socket: &std::path::Path) -> Command {
    let mut command = clean(&Stage::get().program("podman-remote"), home.path());
    command
        .env("XDG_RUNTIME_DIR", home.path())
        .arg("--url")
        .arg(format!("unix://{}", socket.display()));
    command
}

/// `docker` on an API socket.
pub(crate) fn docker(home: &Home, socket: &std::path::Path) -> Command {
    let mut command = clean(&Stage::get().program("docker"), home.path());
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command
}

/// Makes [`IMAGE`] in the engine behind a socket.
pub(crate) fn import_busybox(home: &Home, socket: &std::path::Path) {
    let import = ["import", "--change", "CMD [\"sh\"]", "-", IMAGE];
    run(podman(home, socket).args(import), &busybox_image(), BOOT).succeeded();
}

/// A root file system of BusyBox alone, as a tar archive.
fn busybox_image() -> Vec<u8> {
    let tree =
        tempfile::tempdir_in(Stage::get().scratch()).expect("the scratch directory can be written");
    let bin = tree.path().join("bin");
    fs_err::create_dir_all(&bin).expect("a directory can be made");
    fs_err::copy(Stage::get().program("busybox"), bin.join("busybox"))
        .expect("BusyBox can be copied");
    for applet in APPLETS.split_whitespace() {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link can be made");
    }
    let tar = run(
        Command::new("tar")
            .args(["--owner=0", "--group=0", "-C"])
            .arg(tree.path())
            .args(["-cf", "-", "bin"]),
        b"",
        BOOT,
    );
    assert!(tar.status.success(), "{}", tar.stderr);
    tar.stdout
}
