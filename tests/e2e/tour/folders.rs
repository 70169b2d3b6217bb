//! Folders of the host in containers: what a guide does with `-v`, and what databases do.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use super::{Engine, each, ended, rootless};
use crate::support::home::BOOT;
use crate::support::shared::{self, IMAGE};

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = each("folders_are_used_by_both_sides", both_sides);
    trials.extend(each("folders_are_given_away_by_databases", given_away));
    trials.push(rootless("folders_with_keep_id_and_u", kept_ids));
    trials.push(rootless("folders_have_locks_and_watchers", watched));
    trials.push(rootless("folders_tell_of_what_the_host_changes", told));
    trials
}

/// A directory of the folder that is the same on both sides.
fn folder(engine: &Engine<'_>, name: &str) -> PathBuf {
    let kind = if engine.rootful { "root" } else { "user" };
    let directory = shared::folder(engine.home).join(format!("{name} {kind}"));
    fs_err::create_dir_all(&directory).expect("a directory can be made");
    directory
}

/// What a container with this folder as `/f` prints.
fn run(engine: &Engine<'_>, folder: &Path, options: &str, more: &[&str], script: &str) -> String {
    let volume = format!("{}:/f{options}", folder.display());
    let mut arguments = vec!["run", "--rm", "--network", "none", "--volume", &volume];
    arguments.extend(more);
    arguments.extend([IMAGE, "sh", "-c", script]);
    engine.podman_says(&arguments)
}

fn text(path: &Path) -> String {
    fs_err::read_to_string(path).expect("it is there")
}

fn both_sides(engine: &Engine<'_>) {
    let own = fs_err::metadata(shared::folder(engine.home)).expect("it is there");
    let here = folder(engine, "both");
    fs_err::write(here.join("from ä host"), "host\n").expect("a file can be written");
    // A program is mapped, so that one runs from the folder is a test of mmap as well.
    let script = "set -e; cd /f
        cat 'from ä host'; echo container >'from container'; chmod 750 'from container'
        ln -s 'from ä host' link; cat link; mkdir -p a/b; mv 'from container' a/b/moved
        cp /bin/busybox .; ./busybox echo mapped
        mkdir many; for i in $(seq 1000); do echo $i >many/$i; done; ls many | wc -l";
    let said = run(engine, &here, ":Z", &[], script);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["host", "host", "mapped", "1000"]
    );
    let moved = here.join("a/b/moved");
    assert_eq!(text(&moved), "container\n");
    let metadata = fs_err::metadata(&moved).expect("it is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o750);
    assert_eq!((metadata.uid(), metadata.gid()), (own.uid(), own.gid()));
    let link = fs_err::read_link(here.join("link")).expect("it is a link");
    assert_eq!(link, Path::new("from ä host"));
    assert_eq!(text(&here.join("many/1000")), "1000\n");
    fs_err::remove_dir_all(&here).expect("all of it belongs to the user");

    // What may not be written is not, by root neither; docker has the same.
    for read_only in shared::read_only_targets() {
        let volume = format!("{read_only}:/f");
        let script = "cat /f/file; echo x 2>/dev/null >/f/new || echo refused";
        let options = [
            "run",
            "--rm",
            "--network",
            "none",
            "--volume",
            &volume,
            IMAGE,
            "sh",
            "-c",
            script,
        ];
        assert_eq!(engine.docker_says(&options), "kept\nrefused", "{read_only}");
    }
    let missing = format!("{}/not there:/f", shared::folder(engine.home).display());
    let ended = ended(
        engine
            .podman()
            .args(["run", "--rm", "--volume", &missing, IMAGE, "true"]),
    );
    assert!(ended.stderr.contains("not there"), "{}", ended.stderr);
}

/// As the entry points of `PostgreSQL` and `MySQL` do: give a directory to a user, and go on as that user.
fn given_away(engine: &Engine<'_>) {
    let here = folder(engine, "database");
    let script =
        "set -e; mkdir -p /f/data/base; chown -R 70:70 /f/data; chmod 700 /f/data; chown 0:0 /f
        chown 65534:65534 /f/data/base; stat -c %u:%g:%a /f/data /f/data/base";
    let said = run(engine, &here, "", &[], script);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["70:70:700", "65534:65534:755"]
    );
    let own = fs_err::metadata(&here).expect("it is there").uid();
    let data = fs_err::metadata(here.join("data")).expect("it is there");
    assert_ne!(data.uid(), own, "the host has owners of its own for them");
    let script = "echo row >/f/data/table; cat /f/data/table; stat -c %u /f/data/table";
    let said = run(engine, &here, "", &["--user", "70:70"], script);
    assert_eq!(said, "row\n70");
    run(engine, &here, "", &[], "rm -r /f/data");
}

/// Of the guest's own programs, since the containers' have none for it: locks of both kinds, and a watcher that hears of what a
/// container does.
fn watched(engine: &Engine<'_>) {
    let here = folder(engine, "watched");
    fs_err::write(here.join("file"), "").expect("a file can be written");
    let script = format!(
        "cd '{0}'; exec 9>lock; flock -n 9; flock -n lock true || echo locked; exec 9>&-; flock -n lock echo free; \
         flock --fcntl lock flock --fcntl -n lock true || echo locked; flock --fcntl -n lock echo free; \
         systemd-run --user --quiet --unit=watch-folder --path-property='PathModified={0}/file' touch '{0}/heard'",
        here.display()
    );
    let said = engine
        .home
        .machine(&["ssh", shared::NAME, &script], BOOT)
        .succeeded();
    assert_eq!(said, "locked\nfree\nlocked\nfree\n");
    run(engine, &here, "", &[], "echo news >/f/file");
    let script = format!(
        "for try in $(seq 100); do [ -e '{0}/heard' ] && break; sleep 0.2; done; ls '{0}'; \
         systemctl --user stop watch-folder.path",
        here.display()
    );
    let said = engine
        .home
        .machine(&["ssh", shared::NAME, &script], BOOT)
        .succeeded();
    assert_eq!(said, "file\nheard\nlock\n");
}

/// Prints `IN_ATTRIB` of inotify(7) for these directories, and what a file then holds, until the file `end` is one of them.
/// The numbers of the system calls are those of x86-64, or those that newer processors share.
const LISTENER: &str = r#"
    my ($init, $add) = `uname -m` =~ /x86_64/ ? (294, 254) : (26, 27);
    my $watch = syscall($init, 0);
    open(my $events, "<&=", $watch) or die $!;
    my %name;
    for my $directory (@ARGV) {
        my $number = syscall($add, $watch, $directory, 4);
        die "$directory: $!" if $number < 0;
        $name{$number} = $directory;
    }
    $| = 1;
    print "ready\n";
    while (sysread($events, my $bytes, 65536)) {
        while (length $bytes) {
            my ($number, $mask, $cookie, $length) = unpack("iIII", $bytes);
            my $file = unpack("Z*", substr($bytes, 16, $length));
            substr($bytes, 0, 16 + $length) = "";
            my $path = $file eq "" ? $name{$number} : "$name{$number}/$file";
            my $text = "";
            if (-f $path) { open(my $in, "<", $path) or die $!; $text = <$in> // ""; chomp $text; }
            print "$path $text\n";
            exit if $file eq "end";
        }
    }
"#;

/// A watcher in the guest hears of each change once, sees what the host has written, and its hearing is no change itself.
fn told(engine: &Engine<'_>) {
    let (here, there) = shared::watched_folder(engine.home);
    fs_err::create_dir_all(here.join("a ä/b")).expect("a directory can be made");
    let script = folder(engine, "listener").join("listener.pl");
    fs_err::write(&script, LISTENER).expect("a file can be written");
    let guest = |line: &str| {
        let finished = engine.home.machine(&["ssh", shared::NAME, line], BOOT);
        finished.succeeded()
    };
    let until = |text: &str| {
        format!(
            "for try in $(seq 100); do grep -q '{text}' /tmp/heard && break; sleep 0.2; done; cat /tmp/heard"
        )
    };
    let overwrite = |file: &str| {
        let mut open = fs_err::OpenOptions::new();
        let opened = open.write(true).open(here.join(file));
        let written = opened.and_then(|mut file| file.write_all(b"new\n"));
        written.expect("a file can be written");
    };
    let bring = |file: &str| {
        let made = engine.home.path().join("brought");
        fs_err::write(&made, "new\n").expect("a file can be written");
        fs_err::rename(made, here.join(file)).expect("a file can be moved");
    };
    let started = format!(
        "perl '{}' {there} '{there}/a ä/b' >/tmp/heard 2>&1 </dev/null & {}",
        script.display(),
        until("ready")
    );
    guest(&started);
    for file in ["one", "gone", "a ä/b/deep"] {
        fs_err::write(here.join(file), "old\n").expect("a file can be written");
    }
    // When this one is told, all of those are.
    bring("begin");
    guest(&until("/begin"));

    // Each by one event of the system's, so that no pause of this process makes two changes of one.
    overwrite("one");
    overwrite("a ä/b/deep");
    bring("brought");
    fs_err::remove_file(here.join("gone")).expect("a file can be removed");
    guest(&until("/one new"));
    // Each of these comes long after what an echo would bring.
    bring("second");
    guest(&until("/second"));
    bring("end");
    let heard = guest(&until("/end"));
    let of = |path: &str| {
        let line = format!("{there}/{path} new");
        heard.lines().filter(|heard| **heard == line).count()
    };
    for path in ["one", "a ä/b/deep", "brought", "second"] {
        assert_eq!(of(path), 1, "{path}: {heard}");
    }
    // What was removed is told by the directory that listed it.
    assert!(heard.contains(&format!("{there} \n")), "{heard}");
    assert!(!heard.contains("gone new"), "{heard}");
    let mode = fs_err::metadata(here.join("one")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o644);
}

fn kept_ids(engine: &Engine<'_>) {
    let here = folder(engine, "ids");
    let own = fs_err::metadata(&here).expect("it is there").uid();
    let said = run(
        engine,
        &here,
        "",
        &["--userns=keep-id"],
        "id -u; touch /f/kept",
    );
    // Root of the host is the guest's user, who has a number of its own then.
    let user = if own == 0 { 1000 } else { own };
    assert_eq!(said, user.to_string());
    let kept = fs_err::metadata(here.join("kept")).expect("it is there");
    assert_eq!(kept.uid(), own);
    let given = here.join("given");
    fs_err::create_dir(&given).expect("a directory can be made");
    let script = "touch /f/file; stat -c %u /f /f/file";
    let said = run(engine, &given, ":U", &["--user", "33"], script);
    assert_eq!(said, "33\n33");
    assert_ne!(fs_err::metadata(&given).expect("it is there").uid(), own);
    run(engine, &here, "", &[], "rm -r /f/given");
}
