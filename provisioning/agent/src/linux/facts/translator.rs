//! Rosetta: programs for x86-64 in a guest of another architecture, by a program of the host's that the hypervisor shares.
//!
//! From Apple's "Running Intel Binaries in Linux VMs with Rosetta": the folder with the program is mounted by its tag, and
//! the kernel is told to run it for what its magic and mask are (`binfmt_misc`), with the caller's credentials (`C`) and
//! opened once (`F`), so that it is there in containers as well. What is registered last comes first, so an emulator that
//! the image brings along steps back and is there again when this is switched off.

use std::path::PathBuf;
use std::time::Duration;

use super::{Applied, Problem, failed};
use crate::linux::mounting::has_selinux;
use crate::linux::paths::Paths;
use crate::linux::program;

/// Where the folder is mounted, as the guest's programs see it.
const PLACE: &str = "/run/machine/rosetta";
/// The program in it.
const PROGRAM: &str = "rosetta";
/// The name of the entry; images of podman's have the same, by a service of theirs.
const ENTRY: &str = "proc/sys/fs/binfmt_misc/rosetta";
const REGISTER: &str = "proc/sys/fs/binfmt_misc/register";
/// The beginning of an executable file of x86-64 (ELF, 64 bits, little-endian, `ET_EXEC` or `ET_DYN`, `EM_X86_64`).
const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00";
const MASK: &str =
    r"\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
const LIMIT: Duration = Duration::from_secs(10);

/// Has the guest use the translator with this tag, or none.
pub(super) async fn apply(paths: &Paths, tag: Option<&str>) -> Result<Applied, Problem> {
    let translator = Translator { paths };
    let Some(tag) = tag else {
        return translator.take_back().await;
    };
    if !translator.is_mounted() {
        translator.mount(tag).await?;
    }
    if !translator
        .at(&format!("{}/{PROGRAM}", &PLACE[1..]))
        .exists()
    {
        return Err(format!(
            "the host shares no translator: `{PLACE}/{PROGRAM}` is missing"
        ));
    }
    if !translator.is_registered() {
        translator.register().await?;
    }
    Ok(Applied::Done)
}

struct Translator<'p> {
    paths: &'p Paths,
}

impl Translator<'_> {
    fn at(&self, path: &str) -> PathBuf {
        self.paths.root().join(path)
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs_err::read_to_string(self.at("proc/self/mounts")).unwrap_or_default();
        let place = |line: &str| line.split_ascii_whitespace().nth(1) == Some(PLACE);
        mounts.lines().any(place)
    }

    /// An entry that leads elsewhere is the image's own, which does the same.
    fn is_registered(&self) -> bool {
        self.at(ENTRY).exists()
    }

    /// Whether the entry is this one.
    fn is_own(&self) -> bool {
        let entry = fs_err::read_to_string(self.at(ENTRY)).unwrap_or_default();
        let own = format!("interpreter {PLACE}/{PROGRAM}");
        entry.lines().any(|line| line == own)
    }

    async fn mount(&self, tag: &str) -> Result<(), Problem> {
        fs_err::create_dir_all(self.at(&PLACE[1..]))
            .map_err(failed("the translator has no place"))?;
        // Files of the host have no label, and who runs a container may run what is labelled as a program.
        let options = if has_selinux(self.paths.root()) {
            "ro,nosuid,nodev,context=system_u:object_r:bin_t:s0"
        } else {
            "ro,nosuid,nodev"
        };
        let words = ["-t", "virtiofs", "-o", options, tag, PLACE];
        program::run(self.paths, "mount", &words, LIMIT).await?;
        Ok(())
    }

    async fn register(&self) -> Result<(), Problem> {
        if !self.at(REGISTER).exists() {
            // Where the kernel has it as a module, or nobody has asked for it yet.
            let words = [
                "-t",
                "binfmt_misc",
                "binfmt_misc",
                "/proc/sys/fs/binfmt_misc",
            ];
            program::run(self.paths, "mount", &words, LIMIT).await?;
        }
        let line = format!(":rosetta:M:0:{MAGIC}:{MASK}:{PLACE}/{PROGRAM}:CF");
        fs_err::write(self.at(REGISTER), line)
            .map_err(failed("the kernel does not take the translator"))
    }

    async fn take_back(&self) -> Result<Applied, Problem> {
        let (is_own, is_mounted) = (self.is_own(), self.is_mounted());
        if is_own {
            fs_err::write(self.at(ENTRY), "-1")
                .map_err(failed("the kernel does not let go of the translator"))?;
        }
        if is_mounted {
            program::run(self.paths, "umount", &["--lazy", PLACE], LIMIT).await?;
            fs_err::remove_dir(self.at(&PLACE[1..]))
                .map_err(failed("the translator's place stays"))?;
        }
        Ok(if is_own || is_mounted {
            Applied::Done
        } else {
            Applied::Unused
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    /// A kernel's files, and programs that keep `/proc/self/mounts`.
    fn stub() -> Stub {
        let stub = Stub::new();
        stub.put("proc/self/mounts", "proc /proc proc rw 0 0\n");
        stub.put("proc/sys/fs/binfmt_misc/register", "");
        stub.program(
            "usr/bin/mount",
            "echo \"$5 $6 virtiofs ro 0 0\" >> $ROOT/proc/self/mounts; touch $ROOT/run/machine/rosetta/rosetta",
        );
        stub.program(
            "usr/bin/umount",
            "echo > $ROOT/proc/self/mounts; rm -f $ROOT/run/machine/rosetta/rosetta",
        );
        stub
    }

    /// The entry as the kernel shows it.
    fn entry(interpreter: &str) -> String {
        format!("enabled\ninterpreter {interpreter}\nflags: OCF\noffset 0\n")
    }

    const MOUNT: &str = "mount -t virtiofs -o ro,nosuid,nodev tag /run/machine/rosetta";

    #[tokio::test]
    async fn mounted_registered_kept_and_taken_back() {
        let stub = stub();
        let apply = async |tag| super::apply(&stub.paths, tag).await;
        assert_eq!(apply(None).await, Ok(Applied::Unused));
        assert_eq!(apply(Some("tag")).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), [MOUNT]);
        // Magic, mask and flags are Apple's.
        assert_eq!(
            stub.text(REGISTER),
            r":rosetta:M:0:\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/run/machine/rosetta/rosetta:CF"
        );
        stub.put(ENTRY, &entry("/run/machine/rosetta/rosetta"));
        stub.put(REGISTER, "");
        assert_eq!(apply(Some("tag")).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), [""; 0]);
        assert_eq!(stub.text(REGISTER), "");

        assert_eq!(apply(None).await, Ok(Applied::Done));
        assert_eq!(stub.text(ENTRY), "-1");
        assert_eq!(stub.calls(), ["umount --lazy /run/machine/rosetta"]);
        assert!(!stub.path("run/machine/rosetta").exists());
    }

    #[tokio::test]
    async fn what_an_image_registers_itself_is_its_own() {
        let stub = stub();
        stub.put(ENTRY, &entry("/mnt/rosetta"));
        assert_eq!(apply(&stub.paths, Some("tag")).await, Ok(Applied::Done));
        assert_eq!(stub.text(REGISTER), "");
        apply(&stub.paths, None).await.unwrap();
        assert_eq!(stub.text(ENTRY), entry("/mnt/rosetta"));
    }

    #[tokio::test]
    async fn a_host_without_it_and_a_kernel_without_it_are_told() {
        let stub = stub();
        stub.program("usr/bin/mount", "");
        let problem = apply(&stub.paths, Some("tag")).await.unwrap_err();
        assert!(problem.contains("is missing"), "{problem}");
        assert_eq!(stub.text(REGISTER), "");
        stub.program("usr/bin/mount", "echo wrong fs type >&2; exit 32");
        let problem = apply(&stub.paths, Some("tag")).await.unwrap_err();
        assert!(problem.contains("wrong fs type"), "{problem}");
    }

    #[tokio::test]
    async fn a_guest_with_labels_gives_it_that_of_programs() {
        let stub = stub();
        stub.put("sys/fs/selinux/enforce", "1");
        apply(&stub.paths, Some("tag")).await.unwrap();
        let calls = stub.calls();
        assert!(
            calls[0].contains("context=system_u:object_r:bin_t:s0 tag"),
            "{calls:?}"
        );
    }
}
