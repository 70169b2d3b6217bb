//! What a guest's own words mean: known sentences of firmware, kernel and services, each with a cause and a way out.
//!
//! The words come from the guest and prove nothing; they only choose which explanation a failure gets.

use super::events::{Code, Failure};
use super::lifecycle::not_ready;

/// The lines after which a guest that has no agent yet will not come up, each with what it means.
const LAST_WORDS: &[(&str, Code, &str)] = &[
    (
        "Kernel panic - not syncing",
        Code::KernelPanic,
        "The guest's kernel panicked",
    ),
    (
        "No bootable device",
        Code::NotBootable,
        "The firmware found nothing to boot on the machine's disk",
    ),
    (
        // The shell of Debian's initramfs.
        "(initramfs)",
        Code::NotBootable,
        "The guest did not find its root file system",
    ),
    (
        // What dracut writes before it opens its shell.
        "Generating \"/run/initramfs/rdsosreport.txt\"",
        Code::EmergencyMode,
        "The guest's initramfs gave up and opened its emergency shell",
    ),
];

/// Words that name a cause wherever they stand in what explains a failure, the more certain ones first.
const CAUSES: &[(&str, Code)] = &[
    ("No space left on device", Code::GuestDiskFull),
    ("no space left on device", Code::GuestDiskFull),
    ("Out of memory: Killed process", Code::GuestMemory),
    ("Kernel panic - not syncing", Code::KernelPanic),
    ("No bootable device", Code::NotBootable),
];

/// The last line of a console on which nothing came after the firmware had jumped to the disk's code.
const SILENT_BOOT: &str = "Booting from Hard Disk";

/// What a line of the console means for a start that still waits for the agent; `None` for all but the last words.
pub(super) fn last_words(line: &str) -> Option<Failure> {
    let (_, code, cause) = LAST_WORDS
        .iter()
        .find(|(words, _, _)| line.contains(words))?;
    Some(not_ready(*code).because(*cause))
}

/// What Ignition's journal in `lines` means.
pub(super) fn first_boot(lines: Vec<String>) -> Failure {
    let mut failure = not_ready(Code::Ignition)
        .because("Ignition failed in the guest's first boot; its last lines were:");
    failure.detail.extend(lines);
    failure
}

/// Finds the cause in what explains the failure, and adds the command that mends it.
pub(super) fn explain(machine: &str, mut failure: Failure) -> Failure {
    if matches!(
        failure.code,
        Code::Other | Code::TooSlow | Code::EngineFailed | Code::EmergencyMode
    ) {
        let found = CAUSES
            .iter()
            .find(|(words, _)| failure.detail.iter().any(|line| line.contains(words)));
        let silent = failure
            .detail
            .last()
            .is_some_and(|line| line.contains(SILENT_BOOT));
        if let Some((_, code)) = found {
            failure.code = *code;
        } else if silent {
            failure.code = Code::NotBootable;
        }
    }
    let mended = mending(machine, &failure);
    failure.hints.splice(0..0, mended);
    failure
}

/// The commands that mend this kind of failure.
fn mending(machine: &str, failure: &Failure) -> Vec<String> {
    let rescue = || {
        format!(
            "Start it with `machine start --rescue {machine}`, which keeps it running for \
             `machine exec --user root {machine} …`"
        )
    };
    let again = || {
        format!(
            "Make it anew from a good image: `machine rm -f {machine}`, then `machine init --image FILE {machine}`"
        )
    };
    match failure.code {
        Code::NotBootable => vec![
            "The image is damaged, or not made for this architecture".to_owned(),
            again(),
        ],
        Code::KernelPanic => vec![
            format!("Try once more, not every panic comes twice: `machine start {machine}`"),
            again(),
        ],
        Code::Ignition => vec![again()],
        Code::GuestDiskFull => vec![
            format!("Give it a larger disk: `machine set --disk-size GIB {machine}`"),
            format!(
                "If it is not full of containers and images, a new disk for the rest helps: `machine recreate {machine}`"
            ),
            rescue(),
        ],
        Code::GuestMemory => vec![format!(
            "Give it more memory: `machine set --memory MIB {machine}`"
        )],
        Code::EngineFailed => {
            let masked = failure.detail.iter().any(|line| line.contains("masked"));
            let mut hints = vec![rescue()];
            if masked {
                hints.push(format!(
                    "There, `machine exec --user root {machine} systemctl unmask podman.socket podman.service` and `systemctl enable --now podman.socket` bring the engine back"
                ));
            }
            hints
        }
        Code::EmergencyMode => vec![rescue()],
        // What the host finds out has its own way out, and there is no guest to rescue.
        Code::DataDisk if failure.message == not_ready(Code::DataDisk).message => vec![
            rescue(),
            format!(
                "Or put the disk aside, as it is: `machine rm --keep-data {machine}`, then `machine init {machine}` makes a new one"
            ),
        ],
        Code::TooSlow => vec![format!(
            "If the host is only slow, give it more time: `machine start --timeout 30m {machine}`"
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_told_from_others() {
        let cases = [
            (
                "[    3.1] Kernel panic - not syncing: VFS: Unable to mount root fs",
                Some(Code::KernelPanic),
            ),
            ("No bootable device.", Some(Code::NotBootable)),
            ("(initramfs) ", Some(Code::NotBootable)),
            ("Booting from Hard Disk...", None),
            ("[  OK  ] Reached target basic.target", None),
        ];
        for (line, code) in cases {
            assert_eq!(last_words(line).map(|failure| failure.code), code, "{line}");
        }
    }

    #[test]
    fn the_cause_is_found_in_what_explains_the_failure() {
        let failure = Failure::new("x")
            .coded(Code::EngineFailed)
            .because("podman[1]: write /run/x: no space left on device");
        let explained = explain("vm", failure);
        assert_eq!(explained.code, Code::GuestDiskFull);
        assert!(explained.hints[0].contains("machine set --disk-size GIB vm"));

        let failure = Failure::new("x")
            .coded(Code::EngineFailed)
            .because("podman.socket: masked");
        let explained = explain("vm", failure);
        assert_eq!(explained.code, Code::EngineFailed);
        assert!(explained.hints[1].contains("unmask"), "{explained:?}");
    }

    #[test]
    fn a_disk_whose_code_says_nothing_is_not_bootable() {
        let failure = |last: &str| {
            Failure::new("x")
                .coded(Code::TooSlow)
                .because("    Booting from Hard Disk...")
                .because(last)
        };
        let code = |last| explain("vm", failure(last)).code;
        assert_eq!(code("    Booting from Hard Disk..."), Code::NotBootable);
        assert_eq!(code("    GRUB loading."), Code::TooSlow);
    }

    #[test]
    fn a_data_disk_that_the_guest_refuses_can_be_looked_at_from_inside() {
        let guest = explain("vm", not_ready(Code::DataDisk).because("It is not blank"));
        assert!(
            guest.hints[0].contains("machine start --rescue vm"),
            "{guest:?}"
        );
        assert!(
            guest.hints[1].contains("machine rm --keep-data vm"),
            "{guest:?}"
        );
        let host = Failure::new("The data disk `/d` cannot be used").coded(Code::DataDisk);
        assert_eq!(explain("vm", host.clone()), host);
    }

    #[test]
    fn a_certain_cause_is_not_replaced() {
        let failure = Failure::new("x")
            .coded(Code::AgentRefused)
            .because("No space left on device");
        assert_eq!(explain("vm", failure).code, Code::AgentRefused);
    }
}
