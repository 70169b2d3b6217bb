//! Folders of the host that cannot be had, are lost, and come by QEMU alone.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::support::command::{Finished, begin, clean, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::stage::processes_naming;
use crate::support::{for_full, trial};

/// A program in an emulated guest.
const PATIENCE: Duration = Duration::from_mins(2);
/// Nobody waits for a folder that is lost; an emulated SSH server takes its time.
const NOT_LONG: Duration = Duration::from_mins(1);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial(
        "folders::missing_and_lost_ones_are_told_and_never_empty",
        missing_and_lost,
    )];
    trials.extend(for_full(vec![
        trial("folders::by_9p_where_virtiofsd_is_missing", by_9p),
        trial("folders::with_a_hundred_thousand_files", crowded),
    ]));
    trials
}

fn make(home: &Home, name: &str) -> String {
    let path = home.path().join(name);
    fs_err::create_dir_all(&path).expect("a directory can be made");
    fs_err::write(path.join("file"), format!("{name}\n")).expect("a file can be written");
    path.to_str().expect("the path is text").to_owned()
}

fn guest(home: &Home, line: &str) -> Finished {
    home.machine(&["ssh", "m", line], PATIENCE)
}

fn reason(home: &Home) -> String {
    let format = "{{.Health}}: {{.Reason}}";
    home.machine(&["inspect", "--format", format, "m"], SOON)
        .succeeded()
        .trim_end()
        .to_owned()
}

/// In the stub guest, whose agent does all of it. That a real one is made for folders in `/` is seen with the shared machine
/// (tour/folders.rs), and its clients of an SSH agent in tour/sockets.rs.
fn missing_and_lost() {
    let mut home = Home::new("folders");
    let (top, lost, gone) = (make(&home, "top"), make(&home, "lost"), make(&home, "gone"));
    let volumes = [
        format!("{top}:/data/of mine"),
        format!("{lost}:/mnt/lost"),
        format!("{gone}:/mnt/gone"),
    ];
    let volumes: Vec<&str> = volumes
        .iter()
        .flat_map(|volume| ["--volume", volume])
        .collect();
    let more = [
        &volumes[..],
        &["--forward-socket", "ssh-agent:/run/host/agent.sock"],
    ]
    .concat();
    home.init_stub("m", &more);
    fs_err::remove_dir_all(&gone).expect("it can be removed");
    let socket = home.path().join("agent.sock");
    let agent = begin(
        clean(Path::new("ssh-agent"), home.path())
            .arg("-D")
            .arg("-a")
            .arg(&socket),
        b"",
    );
    let started = run(
        home.command(&["start", "m"]).env("SSH_AUTH_SOCK", &socket),
        b"",
        BOOT,
    );
    let warning =
        format!("the folder `/mnt/gone` is missing: `{gone}` of the host cannot be shared");
    assert!(started.stderr.contains(&warning), "{}", started.stderr);
    started.succeeded();
    assert!(reason(&home).starts_with("degraded: the folder `/mnt/gone` is missing"));

    let script = "cat '/data/of mine/file' /mnt/lost/file; ls /mnt/gone; echo x >/mnt/gone/x || echo refused";
    let said = stub(&home, script).succeeded();
    assert_eq!(
        said,
        "top\nlost\nTHIS-FOLDER-OF-THE-HOST-IS-MISSING.txt\nrefused\n"
    );

    // The SSH agent of whoever started it is there as soon as the start is over.
    assert_eq!(identities(&home), 0);

    // Its program ends: the machine says so, and nobody comes to wait for the folder.
    let program = sharing(&home, &lost);
    let killed = run(
        std::process::Command::new("kill").args(["-KILL", &program]),
        b"",
        SOON,
    );
    killed.succeeded();
    let begun = Instant::now();
    let ended = "the program that shares `/mnt/lost` has ended";
    while !reason(&home).contains(ended) {
        assert!(begun.elapsed() < SOON, "{}", reason(&home));
    }
    let begun = Instant::now();
    let script = "ls /mnt/lost; cat '/data/of mine/file'";
    let said = stub(&home, script).succeeded();
    assert_eq!(said, "THIS-FOLDER-OF-THE-HOST-IS-MISSING.txt\ntop\n");
    assert!(begun.elapsed() < NOT_LONG, "{:?}", begun.elapsed());

    // The others end with the machine.
    assert!(!processes_naming(Path::new(&top)).is_empty());
    let begun = Instant::now();
    home.machine(&["stop", "m"], BOOT).succeeded();
    assert!(begun.elapsed() < NOT_LONG + SOON, "{:?}", begun.elapsed());
    assert_eq!(processes_naming(Path::new(&top)), [""; 0]);
    drop(agent);
    home.dispose().expect("nothing is left");
}

/// What the agent at the guest's socket says of its identities: the answer to `SSH_AGENTC_REQUEST_IDENTITIES`
/// (draft-miller-ssh-agent, "Requesting a list of keys") is its length, its kind and the number.
fn identities(home: &Home) -> u32 {
    let ask = ["exec", "m", "engine", "ask", "/run/host/agent.sock", "9"];
    let asked = run(&mut home.command(&ask), &[0, 0, 0, 1, 11], PATIENCE);
    let answer = asked.stdout.clone();
    asked.succeeded();
    assert_eq!(answer[..5], [0, 0, 0, 5, 12], "SSH_AGENT_IDENTITIES_ANSWER");
    u32::from_be_bytes(answer[5..].try_into().expect("four bytes"))
}

fn stub(home: &Home, line: &str) -> Finished {
    home.machine(&["exec", "m", "sh", "-c", line], PATIENCE)
}

/// The process that shares a folder, and not the one that it watches over.
fn sharing(home: &Home, folder: &str) -> String {
    let option = format!("--shared-dir {folder} ");
    let found = processes_naming(home.path());
    let mut numbers: Vec<u32> = found
        .iter()
        .filter(|line| line.contains(&option))
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.first().expect("it runs").to_string()
}

fn by_9p() {
    let mut home = Home::new("9p");
    let (open, closed) = (make(&home, "open ä"), make(&home, "closed"));
    let volumes = [
        format!("{open}:/mnt/open ä"),
        format!("{closed}:/mnt/closed:ro"),
    ];
    let volumes: Vec<&str> = volumes
        .iter()
        .flat_map(|volume| ["--volume", volume])
        .collect();
    home.init("m", &volumes);
    let mut start = home.command(&["start", "m"]);
    // Without the stage's programs, of which virtiofsd is one.
    start.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let started = run(&mut start, b"", BOOT);
    for word in ["virtiofsd", "9p", "1.13"] {
        assert!(started.stderr.contains(word), "{word}: {}", started.stderr);
    }
    started.succeeded();
    assert_eq!(reason(&home), "healthy:");
    let script = "cd '/mnt/open ä'; cat file /mnt/closed/file; echo guest >new; ln -s file link; cat link; \
                  mkdir a; mv new a; echo x >/mnt/closed/x || echo refused; sudo sh -c 'echo x >/mnt/closed/x' || echo refused; \
                  for i in $(seq 200); do echo $i >a/$i; done; ls a | wc -l; findmnt -n -o FSTYPE -T .";
    let said = guest(&home, script).succeeded();
    assert_eq!(said, "open ä\nclosed\nopen ä\nrefused\nrefused\n201\n9p\n");
    let new = home.path().join("open ä/a/new");
    assert_eq!(fs_err::read_to_string(new).expect("it is there"), "guest\n");
    let link = fs_err::read_link(home.path().join("open ä/link")).expect("it is a link");
    assert_eq!(link, Path::new("file"));
    home.dispose().expect("nothing is left");
}

/// They are made on the host, since an emulated guest would take ten minutes for it; the guest looks at each, moves and
/// removes them. virtiofsd has each file open that the guest knows of, so a host that lets a program open fewer gets as
/// many as it allows.
fn crowded() {
    const WANTED: u64 = 100_000;
    // Libraries, sockets and what else it has open.
    const OTHERS: u64 = 2_000;
    let allowed = machine_host::limits::most_open_files();
    let files = allowed.map_or(WANTED, |most| WANTED.min(most - OTHERS));
    let mut home = Home::new("crowd");
    let folder = make(&home, "crowd");
    let crowd = Path::new(&folder).join("many");
    fs_err::create_dir(&crowd).expect("a directory can be made");
    for number in 0..files {
        fs_err::write(crowd.join(format!("file {number}")), "small")
            .expect("a file can be written");
    }
    home.init("m", &["--volume", &format!("{folder}:/mnt/crowd")]);
    home.machine(&["start", "m"], BOOT).succeeded();
    let long = |line: &str| {
        let words = ["ssh", "m", line];
        home.machine(&words, BOOT * 4).succeeded()
    };
    let counted =
        "find /mnt/crowd/many -type f -size 1 -printf '%s\\n' | sort | uniq -c | tr -s ' '";
    assert_eq!(long(counted), format!(" {files} 5\n"));
    long("mv /mnt/crowd/many /mnt/crowd/moved");
    assert_eq!(long("ls -U /mnt/crowd/moved | wc -l"), format!("{files}\n"));
    long("rm -r /mnt/crowd/moved");
    assert!(!Path::new(&folder).join("moved").exists());
    home.machine(&["stop", "m"], BOOT).succeeded();
    home.dispose().expect("nothing is left");
}
