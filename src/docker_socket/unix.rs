//! By podman-mac-helper (`cmd/podman-mac-helper` of podman): launchd runs it as root for each connection to a socket of the
//! user's. It reads `GO` and a line's end, makes the link, answers `OK` or `NO`, and ends.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::{directories, local_socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Claim;
use crate::machine::deadlines;

/// Where Docker's clients look.
const DOCKER: &str = "/var/run/docker.sock";
/// The helper's request and its answer. Anything else is a refusal.
const GO: &[u8] = b"GO\n";
const OK: &[u8] = b"OK";
/// More than it ever says.
const ANSWER_LIMIT: u64 = 64;
/// Where podman's packages and Homebrew put the program that installs the helper.
const INSTALLERS: [&str; 3] = ["/opt/podman/bin", "/opt/homebrew/bin", "/usr/local/bin"];

/// Lets Docker's clients find the engine behind this socket. Changes nothing that leads to an engine which answers.
pub async fn claim(socket: &Path) -> Claim {
    match Places::of_this_host() {
        Some(places) => places.claim(socket).await,
        None => Claim::Unsupported,
    }
}

/// Takes away what leads to this socket.
pub fn release(socket: &Path) {
    if let Some(places) = Places::of_this_host() {
        places.release(socket);
    }
}

/// What the helper has compiled in.
#[derive(Debug)]
struct Places {
    /// Where Docker's clients look.
    docker: PathBuf,
    /// What the helper makes that a link to.
    target: PathBuf,
    /// Where the helper listens.
    helper: PathBuf,
    /// What launchd knows of the helper.
    service: PathBuf,
    /// The directories in which the program that installs it may lie.
    installers: Vec<PathBuf>,
}

impl Places {
    fn of_this_host() -> Option<Self> {
        if std::env::consts::OS != "macos" {
            return None;
        }
        let text = |name| directories::environment(name)?.into_string().ok();
        Some(Self::of(text("HOME")?.as_ref(), &text("USER")?))
    }

    fn of(home: &Path, user: &str) -> Self {
        Self {
            docker: DOCKER.into(),
            target: home.join(".local/share/containers/podman/machine/podman.sock"),
            helper: format!("/var/run/podman-helper-{user}.socket").into(),
            service: format!(
                "/Library/LaunchDaemons/com.github.containers.podman.helper-{user}.plist"
            )
            .into(),
            installers: INSTALLERS.map(PathBuf::from).to_vec(),
        }
    }

    async fn claim(&self, socket: &Path) -> Claim {
        if !fs::symlink_metadata(&self.service).is_ok_and(|found| found.is_file()) {
            let installer = |directory: &PathBuf| directory.join("podman-mac-helper");
            let mut installers = self.installers.iter().map(installer);
            return Claim::NoHelper(installers.find(|program| program.is_file()));
        }
        if fs::read_link(&self.target).ok().as_deref() != Some(socket) {
            if answers(&self.target).await {
                return Claim::Taken;
            }
            if let Err(error) = replace(&self.target, socket) {
                return Claim::Refused(error.to_string());
            }
        }
        if fs::read_link(&self.docker).ok().as_deref() == Some(&self.target) {
            return Claim::Claimed(self.docker.clone());
        }
        if answers(&self.docker).await {
            return Claim::Taken;
        }
        let limit = deadlines::DOCKER_HELPER.limit;
        match tokio::time::timeout(limit, ask(&self.helper)).await {
            Ok(Ok(answer)) if answer == OK => Claim::Claimed(self.docker.clone()),
            Ok(Ok(answer)) => Claim::Refused(format!(
                "podman-mac-helper answered `{}`",
                String::from_utf8_lossy(&answer).trim().escape_debug()
            )),
            Ok(Err(error)) => Claim::Refused(format!(
                "podman-mac-helper does not answer at `{}`: {error}",
                self.helper.display()
            )),
            Err(_) => Claim::Refused(format!(
                "podman-mac-helper did not answer within {} s",
                limit.as_secs()
            )),
        }
    }

    fn release(&self, socket: &Path) {
        if fs::read_link(&self.target).ok().as_deref() == Some(socket)
            && let Err(error) = fs::remove_file(&self.target)
        {
            tracing::warn!(%error, "The link for Docker's clients stays behind");
        }
    }
}

/// Whether somebody's engine is there.
async fn answers(socket: &Path) -> bool {
    let limit = deadlines::DOCKER_HELPER.limit;
    let connected = tokio::time::timeout(limit, local_socket::connect(socket)).await;
    // One that takes no connection in that time is still somebody's.
    connected.is_err() || connected.is_ok_and(|connected| connected.is_ok())
}

async fn ask(helper: &Path) -> io::Result<Vec<u8>> {
    let mut stream = local_socket::connect(helper).await?;
    stream.write_all(GO).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Makes `place` a link to `socket`, in place of a link or socket that leads nowhere. Anything else stays.
fn replace(place: &Path, socket: &Path) -> io::Result<()> {
    match fs::symlink_metadata(place) {
        Ok(found) if !found.is_symlink() && !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("`{}` is no socket, and stays", place.display()),
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = place.parent() {
                fs::create_dir_all(directory)?;
            }
        }
        Err(error) => return Err(error),
    }
    let mut name = place.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let early = PathBuf::from(name);
    // Of a process of the same number that was killed.
    let _ = fs::remove_file(&early);
    fs::os::unix::fs::symlink(socket, &early)?;
    fs::rename(&early, place)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::net::UnixListener;

    use super::*;

    /// A home and a system of a test's own, with a helper that is installed.
    struct Bench {
        folder: tempfile::TempDir,
        places: Places,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let places = Places {
                docker: at("docker.sock"),
                target: at("home/podman.sock"),
                helper: at("helper"),
                service: at("service.plist"),
                installers: vec![at("none"), at("bin")],
            };
            fs::write(&places.service, "plist").unwrap();
            Self { folder, places }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// The helper's socket, which is there before anybody asks.
        fn listen(&self) -> UnixListener {
            UnixListener::bind(&self.places.helper).unwrap()
        }

        /// The helper, for one connection: as it reads exactly its request, and refuses any other.
        async fn help(&self, listener: UnixListener, answer: Option<&str>) {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 3];
            stream.read_exact(&mut request).await.unwrap();
            let (docker, target) = (&self.places.docker, &self.places.target);
            let answer = answer.unwrap_or_else(|| {
                assert_eq!(&request, GO);
                let _ = fs::remove_file(docker);
                symlink(target, docker).unwrap();
                "OK"
            });
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_helper_makes_the_link_that_leads_to_the_machine() {
        let bench = Bench::new();
        let socket = bench.at("machine.sock");
        let _engine = UnixListener::bind(&socket).unwrap();
        let claimed = Claim::Claimed(bench.places.docker.clone());
        let help = bench.help(bench.listen(), None);
        let (claim, ()) = tokio::join!(bench.places.claim(&socket), help);
        assert_eq!(claim, claimed);
        assert!(answers(&bench.places.docker).await);
        // Nobody is asked for what is there.
        fs::remove_file(&bench.places.helper).unwrap();
        assert_eq!(bench.places.claim(&socket).await, claimed);
        // Another machine does not take it away, and has it when it is free.
        let other = bench.at("other.sock");
        let _other = UnixListener::bind(&other).unwrap();
        assert_eq!(bench.places.claim(&other).await, Claim::Taken);
        bench.places.release(&other);
        assert!(answers(&bench.places.docker).await, "it was not his");
        bench.places.release(&socket);
        assert!(!answers(&bench.places.docker).await);
        assert_eq!(bench.places.claim(&other).await, claimed);
        assert_eq!(fs::read_link(&bench.places.target).unwrap(), other);
    }

    #[tokio::test]
    async fn what_a_killed_machine_left_is_replaced() {
        let bench = Bench::new();
        fs::create_dir(bench.at("home")).unwrap();
        symlink(bench.at("gone.sock"), &bench.places.target).unwrap();
        symlink(&bench.places.target, &bench.places.docker).unwrap();
        let socket = bench.at("machine.sock");
        let claim = bench.places.claim(&socket).await;
        assert_eq!(claim, Claim::Claimed(bench.places.docker.clone()));
        assert_eq!(fs::read_link(&bench.places.target).unwrap(), socket);
    }

    #[tokio::test]
    async fn without_the_helper_nothing_is_changed() {
        let bench = Bench::new();
        fs::remove_file(&bench.places.service).unwrap();
        let socket = bench.at("machine.sock");
        assert_eq!(bench.places.claim(&socket).await, Claim::NoHelper(None));
        fs::create_dir(bench.at("bin")).unwrap();
        let installer = bench.at("bin/podman-mac-helper");
        fs::write(&installer, "").unwrap();
        let claim = bench.places.claim(&socket).await;
        assert_eq!(claim, Claim::NoHelper(Some(installer)));
        assert!(fs::symlink_metadata(&bench.places.target).is_err());
    }

    #[tokio::test]
    async fn another_engine_keeps_the_place() {
        let bench = Bench::new();
        let _docker = UnixListener::bind(&bench.places.docker).unwrap();
        let claim = bench.places.claim(&bench.at("machine.sock")).await;
        assert_eq!(claim, Claim::Taken);
        assert!(answers(&bench.places.docker).await);
    }

    #[tokio::test]
    async fn a_helper_that_does_not_do_it() {
        let bench = Bench::new();
        let socket = bench.at("machine.sock");
        let Claim::Refused(why) = bench.places.claim(&socket).await else {
            panic!("nobody listens");
        };
        assert!(
            why.starts_with("podman-mac-helper does not answer at "),
            "{why}"
        );
        for answer in ["NO", "OK\n", "", "OKOK"] {
            let help = bench.help(bench.listen(), Some(answer));
            let asked = tokio::join!(bench.places.claim(&socket), help);
            let Claim::Refused(why) = asked.0 else {
                panic!("it said `{answer}`");
            };
            let said = format!("podman-mac-helper answered `{}`", answer.trim());
            assert_eq!(why, said);
            fs::remove_file(&bench.places.helper).unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_in_the_way_stays() {
        let bench = Bench::new();
        fs::create_dir(bench.at("home")).unwrap();
        fs::write(&bench.places.target, "mine").unwrap();
        let claim = bench.places.claim(&bench.at("machine.sock")).await;
        assert!(matches!(claim, Claim::Refused(why) if why.ends_with("is no socket, and stays")));
        assert_eq!(fs::read_to_string(&bench.places.target).unwrap(), "mine");
    }

    #[test]
    fn places_of_a_mac() {
        let places = Places::of(Path::new("/Users/ann"), "ann");
        assert_eq!(
            places.target,
            Path::new("/Users/ann/.local/share/containers/podman/machine/podman.sock")
        );
        assert_eq!(
            places.helper,
            Path::new("/var/run/podman-helper-ann.socket")
        );
        assert_eq!(
            places.service,
            Path::new("/Library/LaunchDaemons/com.github.containers.podman.helper-ann.plist")
        );
    }
}
