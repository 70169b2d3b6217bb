//! A disk of the host that gets full under a machine. Its guest is the stub, which writes to its disk as it is: what a file
//! system makes of a write that takes long is the kernel's.

use std::process::Command;

use libtest_mimic::Trial;

use crate::support::command::run;
use crate::support::home::{BOOT, Home};
use crate::support::stage::Stage;
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("host_disk::a_full_one_makes_the_machine_wait", full)]
}

/// The machine's files lie on a file system of their own, as an ordinary user may mount one in a namespace of his own:
/// so all of it is one script in there.
const SCRIPT: &str = r#"
fail() { echo "$*" >&2; "$machine" stop x >&2; "$machine" rm -f x >&2; exit 1; }
until_reason() { # REGULAR_EXPRESSION: waits for what `list` says of the machine
    until=$(($(date +%s) + 200))
    while [ "$(date +%s)" -lt $until ]; do
        "$machine" list --format '{{.Reason}}' | grep -q "$1" && return
        sleep 0.1
    done
    fail "not seen: $1"
}
machine=$0
mount -t tmpfs -o size=1200m tmpfs "$MACHINE_HOME" || exit 1
"$machine" init --image "$1" --memory 512 --disk-size 1 --volume '' x || exit 1
sed -i /^data_disk/d "$MACHINE_HOME/data/machines/x/machine.toml"
"$machine" start x || fail "it does not start"

left=$(df --output=avail -B1 "$MACHINE_HOME" | tail -n 1)
fallocate -l $((left - (40 << 20))) "$MACHINE_HOME/ballast" || fail "no ballast"
write() { # MIB_FROM_BEGINNING: has the guest write 64 MiB, and look whether they are on the disk
    "$machine" exec --user root x sh -ec "tr '\\0' x </dev/zero | head -c 1048576 >/one
        for i in \$(seq 64); do cat /one; done >/all
        dd if=/all of=/dev/vda bs=1M seek=$1 conv=fsync
        echo 3 >/proc/sys/vm/drop_caches
        dd if=/dev/vda bs=1M skip=$1 count=64 | cmp - /all
        wc -c </all"
}
write 1024 >"$MACHINE_HOME/said" &
until_reason 'paused: host disk full'
# It waits for as long as there is no room, and says so once.
sleep 3
count=$(grep -c '"paused: host disk full' "$MACHINE_HOME/data/machines/x/events.jsonl")
[ "$count" = 1 ] || fail "told $count times"
rm "$MACHINE_HOME/ballast"
wait $! || fail "the program in the guest did not get through"
[ "$(cat "$MACHINE_HOME/said")" = $((64 << 20)) ] || fail "$(cat "$MACHINE_HOME/said")"
until_reason '^$'

# A guest that stands still cannot power off, and nobody waits for it to.
left=$(df --output=avail -B1 "$MACHINE_HOME" | tail -n 1)
fallocate -l $((left - (20 << 20))) "$MACHINE_HOME/ballast" || fail "no ballast"
write 2048 &
until_reason 'paused: host disk full'
began=$(date +%s)
"$machine" stop x || fail "it does not stop"
[ $(($(date +%s) - began)) -lt 20 ] || fail "the stop waited for the guest"
"$machine" rm -f x
"#;

fn full() {
    let home = Home::new("full-host");
    let inner = home.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .arg(inner.get_program())
        .arg(Stage::get().stub_image());
    run(&mut command, b"", 2 * BOOT).succeeded();
}
