//! Every wait of the host side: what it waits for, how long at most, and why that long.
//!
//! A wait that is not listed here does not exist: code elsewhere takes its limit from these constants, and the
//! message of a wait that ran out is built from the same record.

use std::time::Duration;

/// One bounded wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// What is waited for; it completes the sentence "Waited for …".
    pub name: &'static str,
    /// The longest wait.
    pub limit: Duration,
    /// Why this long and no longer.
    pub why: &'static str,
}

macro_rules! deadlines {
    ($($(#[$doc:meta])* $constant:ident = $limit:expr, $name:literal, $why:literal;)*) => {
        $($(#[$doc])* pub const $constant: Deadline = Deadline { name: $name, limit: $limit, why: $why };)*

        /// All of them, for the manual and for tests.
        pub const ALL: &[Deadline] = &[$($constant),*];
    };
}

deadlines! {
    /// A connect to the control socket.
    CONTROL_CONNECT = Duration::from_millis(250), "the control socket to accept",
        "a local connect takes microseconds; only a full backlog or a stopped process makes it wait, and `list` must not";
    /// A reply on the control socket.
    SUPERVISOR_REPLY = Duration::from_secs(10), "the supervisor to reply",
        "its owner task answers between two steps, none of which blocks; a host that swaps needs seconds";
    /// A freshly started supervisor's control socket.
    SUPERVISOR_SPAWN = Duration::from_secs(10), "the supervisor to open its control socket",
        "it is our own executable and opens the socket first; seconds pass only on a loaded host";
    /// The end of a supervisor that has said its last word.
    SUPERVISOR_EXIT = Duration::from_secs(15), "the supervisor to end",
        "it closes its sockets and gives its clients time to take their answers";
    /// The lock of a change of files.
    EDIT_LOCK = Duration::from_secs(10), "another command to finish its change of the machine's files",
        "such a change writes a few small files; a disk that grows takes seconds";
    /// The lock of the directory of all machines.
    STORE_LOCK = Duration::from_secs(20), "another command to finish its change of the list of machines",
        "it is held for renames and for deleting leftovers; a large disk takes a slow file system seconds to free";
    /// Podman's lock of its connections.
    CONNECTIONS_LOCK = Duration::from_secs(10), "another program to finish its change of podman's connections",
        "such a change writes one small file; podman itself holds the lock no longer";
    /// The run lock of a supervisor that is on its way in or out.
    RUN_LOCK = Duration::from_secs(5), "another supervisor of the machine to come or go",
        "between taking the lock and answering, and between its last answer and its end, it does nothing slow";
    /// The thread of a link.
    LINK_CLOSE = Duration::from_secs(2), "the link's thread to let go of its sockets",
        "it only drops them";
    /// A listener that could not accept a client.
    ACCEPT = Duration::from_millis(200), "descriptors to come free",
        "the system tells nobody when a process may open files again; a client waits in the backlog meanwhile";
    /// Another host's answer about its engine.
    REMOTE_INFO = Duration::from_mins(2), "another host to say where its engine is",
        "a person types a password meanwhile; the host itself answers in seconds";
    /// The answer of a helper program that is only asked for facts.
    PROBE = Duration::from_secs(2), "a probe of the host",
        "an accelerator that works answers in under 100 ms, one that spins never does";
    /// The VM process's monitor.
    VM_SPAWN = Duration::from_secs(10), "the virtual machine's monitor to answer",
        "the process opens it before the guest runs; a cold disk cache costs seconds";
    /// An answer of a virtual machine's REST service.
    VM_REQUEST = Duration::from_secs(5), "the virtual machine's REST service to answer",
        "it only notes what is asked for; a host that swaps needs seconds";
    /// A sign of life during a start, with hardware acceleration.
    QUIET_ACCELERATED = Duration::from_mins(1), "a sign of life of the guest",
        "no event, console byte or block read for a minute is no boot";
    /// A sign of life during a start, under emulation.
    QUIET_EMULATED = Duration::from_mins(4), "a sign of life of the emulated guest",
        "emulation is ten to twenty times slower, and decompressing a kernel reads and prints nothing";
    /// A whole start.
    START_TOTAL = Duration::from_mins(15), "the machine to start",
        "a first boot under emulation with a large image takes minutes; longer is a guest that only looks alive";
    /// The agent's side of the hello.
    HELLO = Duration::from_secs(10), "the guest to answer the hello",
        "both ends are there; ten seconds cover a guest that runs its boot at the same time";
    /// The hello of a process of the guest that dialled the host by vsock.
    VSOCK_HELLO = Duration::from_secs(10), "a caller of the guest to prove itself",
        "the agent answers at once, in an emulated guest under load within seconds; every process of the guest may dial";
    /// The program that is a machine's vsock device.
    VSOCK_DEVICE = Duration::from_secs(5), "the vsock device's program to listen",
        "it opens its sockets first thing; without it the machine starts all the same";
    /// The program that carries a machine's packets.
    NETWORK_PROGRAM = Duration::from_secs(5), "the network's program to listen",
        "it opens its socket first thing";
    /// Before a program that ended again and again is started once more.
    NETWORK_PAUSE = Duration::from_secs(15), "the next attempt to start the network's program",
        "what makes it end tells nobody when it is over; a host that was connected anew waits no longer than this";
    /// A question for the guest's first-boot configuration.
    FIRST_BOOT_REQUEST = Duration::from_secs(10), "the guest to ask for its first-boot configuration",
        "Ignition sends its question in one piece as soon as it has connected, and asks again where it fails";
    /// The program of a shared folder.
    SHARE_DEVICE = Duration::from_secs(5), "the program of a shared folder to answer",
        "it answers after 30 ms; without it the machine starts all the same, and says which folder it lacks";
    /// The engine's answer to `/_ping`.
    ENGINE_PING = Duration::from_secs(30), "the engine to answer",
        "the first request starts it by socket activation, which under emulation takes ten seconds and more";
    /// The guest's word that a program runs.
    EXEC = Duration::from_secs(30), "the guest's agent to run the program",
        "a fork and an exec; an emulated guest that swaps needs seconds for them";
    /// The time between two looks at whether the host has slept.
    CLOCK_TICK = Duration::from_secs(1), "the next look at the host's two clocks",
        "no event tells of a sleep on every system, and a guest's clock is to be right a second after it";
    /// The time between two looks at the guest's clock.
    CLOCK_CHECK = Duration::from_secs(10), "the next look at the guest's clock",
        "a VM process that was stopped, and a clock that somebody set in the guest, tell nobody";
    /// The time between two looks at whether the host has space again.
    HOST_ROOM = Duration::from_secs(1), "the next look at the host's free space",
        "no event tells of space that came free; a machine that stands still for it is to go on within seconds";
    /// A request of the guest for a port.
    PUBLISH_REQUEST = Duration::from_secs(10), "the guest to say which port it wants",
        "a line that is written at once; a guest may also say nothing at all, and few are listened to at a time";
    /// A client of a UDP port that says nothing.
    UDP_IDLE = Duration::from_secs(90), "another datagram of a client",
        "UDP has no end; routers forget a client that says nothing after 30 s to 3 minutes";
    /// Who has a port that is taken.
    PORT_HOLDER = Duration::from_secs(1), "other machines and the system to say who has a port",
        "somebody waits for a container; the answer only makes an error better";
    /// A socket of the host that the guest may use.
    HOST_SOCKET = Duration::from_secs(5), "a socket of the host to take a connection",
        "a local connect takes microseconds, or fails; a client in the guest waits for it";
    /// The end of changes in a folder that is watched.
    EDITS_QUIET = Duration::from_millis(50), "a folder of the host to be quiet",
        "a program that saves a file does a few things with it in a row; a person does not see the difference";
    /// All changes that the guest is told of in one go.
    EDITS_GATHER = Duration::from_millis(500), "changes of a folder that is never quiet",
        "a log that grows all the time must not keep what else has changed from the guest";
    /// The agent's word that it told of changes.
    EDITS_TOLD = Duration::from_secs(30), "the guest to tell its programs of changed files",
        "some hundred files, each a question to the host; the agent itself gives up after 20 s";
    /// The agent's word that it listens for clients of the host's sockets.
    AGENT_SOCKETS = Duration::from_secs(20), "the guest to listen for its sockets",
        "it makes a few files; an emulated guest under load needs seconds, and a reload waits for this one";
    /// What is wrong in a guest whose start takes too long.
    DIAGNOSIS = Duration::from_secs(5), "the guest to say what is wrong in it",
        "it asks systemd a few questions; a guest that cannot answer in this time is told of as it is";
    /// What a command asks of the engine's API.
    ENGINE_ANSWER = Duration::from_secs(30), "the engine to answer a question",
        "the engine that is not of the mode is started by the question, which under emulation takes ten seconds and more";
    /// A change that a running machine takes.
    RELOAD = Duration::from_secs(30), "the running machine to take its new settings",
        "the supervisor changes a socket and the agent a link; an emulated guest under load needs seconds for it";
    /// The guest's SSH server, as an SSH client waits for it.
    SSH_CONNECT = Duration::from_secs(30), "the guest's SSH server to answer",
        "the port is on this host; an emulated guest needs seconds for the keys, more when it starts the server for it";
    /// A look of `doctor` at files.
    DOCTOR_LOOK = Duration::from_secs(5), "the files of the host or of a machine to answer",
        "a local disk answers in milliseconds; a network's that is gone never does, and the rest is to be told all the same";
    /// A supervisor that holds its lock and does not listen.
    DOCTOR_LOCK = Duration::from_millis(500), "a supervisor to answer or to go",
        "between its lock and its socket, and between its socket's end and its own, it needs milliseconds";
    /// The agent's orderly power-off.
    AGENT_POWER_OFF = Duration::from_secs(90), "the guest to power off",
        "systemd gives each unit 90 s to stop";
    /// The same of a guest that has lost a folder of the host.
    HELD_POWER_OFF = Duration::from_secs(45), "the guest to end what it runs",
        "its kernel waits for ever when it unmounts the folder, so it never powers off; containers end within this time";
    /// The power button, when the agent did not do.
    ACPI_POWER_DOWN = Duration::from_secs(20), "the guest to follow the power button",
        "the orderly way was tried already; this is for a guest without an agent";
    /// The monitor's quit, after which the process is killed.
    QUIT = Duration::from_secs(5), "the virtual machine to quit",
        "it only closes its files";
    /// The end of a killed process.
    KILLED = Duration::from_secs(5), "a killed process to end",
        "the kernel frees its memory first; only a process stuck in the kernel takes longer";
    /// A whole stop, as the command that asked for it sees it.
    STOP_TOTAL = Duration::from_secs(140), "the machine to stop",
        "all rungs of the ladder one after another, and time for the supervisor to take its leave";
    /// An order to the system's manager of services.
    SERVICE = Duration::from_secs(20), "the user's service manager to do what it was told",
        "it answers in milliseconds; a new service has 15 s to say that it is there, and then the supervisor is started without";
    /// A VM that lost its supervisor and gets another one, as a command that needs it waits.
    ADOPTION = Duration::from_secs(30), "the machine to be taken over",
        "a second as a rule; an emulated guest under load answers the hello and its engine's first request in ten";
    /// WSL's answer to a question.
    WSL_ANSWER = Duration::from_secs(30), "WSL to answer",
        "its service starts with the first question, in seconds on a loaded host; after a sleep it may never answer";
    /// A distribution whose keeper has the agent started.
    WSL_UP = Duration::from_mins(2), "the distribution to come up",
        "its virtual machine starts in seconds and its systemd with it; a loaded host takes many times as long";
    /// Between two programs that carry the link.
    CARRIER_PAUSE = Duration::from_millis(500), "the next program that carries the link",
        "nothing tells when one would succeed; each waits a minute for its agent, so few end early";
    /// The end or the removal of a distribution.
    WSL_END = Duration::from_mins(1), "WSL to end or remove a distribution",
        "it unmounts a disk and deletes a file; where it hangs, only its own end helps";
    /// The import of a distribution.
    WSL_IMPORT = Duration::from_mins(10), "WSL to import a distribution",
        "it unpacks gigabytes into a new disk, which a virus scanner reads along; it takes about a minute as a rule";
    /// The program that makes `/var/run/docker.sock` lead to a machine, and whoever answers there already.
    DOCKER_HELPER = Duration::from_secs(5), "the place where Docker's clients look",
        "podman's figure: launchd starts the helper for each request, which makes one link";
    /// The time between two looks at whether a virtual machine was paused.
    PAUSE_LOOK = Duration::from_secs(10), "the next look at whether the virtual machine stands still",
        "its service tells nobody when somebody pauses it; as often as the guest's clock is looked at";
    /// Another command's supervisor, after that of a machine that is attended has left.
    SUCCESSOR = Duration::from_secs(3), "another supervisor of the machine",
        "a build that replaces another one comes within a second; when nobody comes the machine is taken over";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_wait_is_named_once_and_bounded() {
        let names: BTreeSet<_> = ALL.iter().map(|deadline| deadline.name).collect();
        assert_eq!(names.len(), ALL.len());
        for deadline in ALL {
            assert!(deadline.limit > Duration::ZERO, "{deadline:?}");
            assert!(deadline.limit <= START_TOTAL.limit, "{deadline:?}");
            assert!(!deadline.why.is_empty(), "{deadline:?}");
        }
    }

    #[test]
    fn a_wait_around_another_is_longer() {
        assert!(STORE_LOCK.limit > EDIT_LOCK.limit);
        assert!(START_TOTAL.limit > QUIET_EMULATED.limit);
        assert!(RELOAD.limit > AGENT_SOCKETS.limit);
        let ladder = [
            AGENT_POWER_OFF,
            ACPI_POWER_DOWN,
            QUIT,
            KILLED,
            LINK_CLOSE,
            SUPERVISOR_REPLY,
        ];
        assert!(STOP_TOTAL.limit > ladder.iter().map(|rung| rung.limit).sum::<Duration>());
        assert!(QUIET_EMULATED.limit > QUIET_ACCELERATED.limit);
    }
}
