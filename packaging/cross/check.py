#!/usr/bin/env python3
"""Lints, links and tests the workspace for Windows and macOS.

    check.py [--full | --lints]        --full: macOS on Intel as well; --lints: nothing but lints

One pass builds and lints: clippy's driver is a compiler, so each dependency is built once for it
and not once more for the linker. What has passed before with the very same files and compiler is
left out; the record of that is in the build cache and is never needed. `--lints` is for the time
between two edits: it links nothing, so it is the quicker one and leaves no record. The agent is a
Linux program.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
import tomllib

from common import BUILD_CACHE, CACHE, MACOS, MACOS_INTEL, TOP, WINDOWS, output, run
from prepare import prepare

# These are Linux programs.
WORKSPACE = ("--locked", "--workspace", "--exclude", "machine-agent", "--exclude", "machine-fake-wsl")
# Builds and lints in one pass.
LINTED = TOP / "packaging/tools/linted"
# No part of a foreign build.
IGNORED = (".md", ".sh")
IGNORED_FOLDERS = ("docs/", ".ci/", "machine-images/debian/", "provisioning/agent/", "benches/")
NOT_UNDER_WINE = (
    # These compare with the host's qemu-img, which a program under Wine does not find.
    "layer::tests::a_disk_has_what_its_image_has_and_grows",
    "layer::tests::a_disk_over_another_file_is_no_disk_of_ours",
    "layer::tests::what_is_in_the_way_is_not_overwritten",
    "prepare::tests::a_prepared_disk_can_be_grown_again",
    "prepare::tests::a_qcow2_disk_is_grown_and_keeps_its_content",
    "prepare::tests::a_raw_disk_is_grown_and_keeps_its_content",
    "prepare::tests::an_empty_image_makes_a_blank_qcow2_disk",
    "prepare::tests::images_that_name_other_files_are_refused",
    "prepare::tests::packed::a_look_into_a_packed_image",
    "prepare::tests::packed::every_packing_gives_the_disk_that_was_packed",
    # Wine has no engine for certificate chains with authorities of one's own, which `certs.d` adds to the system's.
    "oci::tests::a_client_may_have_to_show_a_certificate",
    "oci::tests::a_server_without_tls_is_told",
    "oci::tests::no_password_leaves_tls",
    "oci::tests::only_trusted_certificates_are_taken",
    # No pipe of Windows is joined to a guest yet.
    "network::sockets::tests::a_client_reaches_its_socket_and_no_other",
    "network::sockets::tests::a_host_that_does_not_listen_is_told_of_once_and_not_to_the_guest",
    "network::sockets::tests::clients_are_few_and_go_with_their_socket",
    # Wine tells of files that are written in the directory itself alone, and no provider shares folders on Windows yet.
    "tree_watch::tests::what_happens_in_directories_of_directories",
    # Snapshots and folders with paths of Unix in them.
    "ops::sockets::tests::words_become_sockets_and_go_together",
    "ops::set::tests::a_running_machine_takes_its_sockets_and_says_which_it_could_not_make",
    "machine::volume::tests::source_target_and_options",
    "provider::qemu::argv::tests::a_disk_over_an_image",
    "provider::qemu::argv::tests::aarch64_with_emulation_and_only_what_must_be",
    "provider::qemu::argv::tests::x86_64_with_kvm",
    "provider::qemu::exit::tests::the_disk_that_somebody_has_is_named",
    "provider::apple::argv::tests::krunkit_as_documented",
    "provider::apple::argv::tests::vfkit_as_documented",
    "provider::apple::speakable::tests::paths_with_a_meaning_are_refused_and_others_are_not",
    "ops::data_disk::tests::a_device_is_refused_with_what_to_do_instead",
    "cli::cmd::connection::tests::json",
    "cli::cmd::connection::tests::table",
    # Files have no holes there, so a new disk has its whole size at once.
    "ops::init::tests::disks::a_size_that_was_asked_for_and_has_no_room_is_told",
    # Ignition asks by a socket of Unix, which hypervisors of macOS have.
    "supervisor::first_boot::tests::every_path_gives_the_configuration_until_the_end",
    "supervisor::first_boot::tests::those_who_say_nothing_are_hung_up_on_and_others_are_served",
    # The socket of a starter is for services of systemd, and the end of a pipe of Windows is not what its reader waits for.
    "supervisor::audience::tests::a_starter_listens_once",
    # Windows removes no directory in which a dropped future's thread still has a file open; the next command does.
    "ops::init::tests::cut_off::a_dropped_future_leaves_nothing_or_a_whole_machine",
    # Nor one with a file that is open, and these remove a machine while its log is followed.
    "ops::events::tests::following_named_machines_ends_with_the_last",
    "ops::logs::tests::a_log_that_is_followed_ends_with_its_machine",
    # A pipe is there until its last handle is closed, which is a moment later.
    "link::services::tests::without_a_link_a_client_is_closed_and_with_the_services_the_socket_goes",
    # A connection over a pipe ends early here; not looked into yet (no provider has carriers on Windows).
    "link::tests::the_loss_of_the_better_carrier_ends_its_connections_and_nothing_else",
)


def content():
    """A digest of what the builds are made from; None outside of a git work tree."""
    try:
        listed = output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=TOP)
    except (OSError, subprocess.CalledProcessError):
        return None
    digest = hashlib.sha256(output("rustc", "--version", "--verbose", cwd=TOP).encode())
    for name in sorted(set(listed.split("\0")) - {""}):
        path = TOP / name
        if name.endswith(IGNORED) or name.startswith(IGNORED_FOLDERS) or not path.is_file():
            continue
        data = path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def stage(name, *command, how=lambda *command: run(*command, cwd=TOP)):
    print(f"cross: {name}", flush=True)
    started = time.monotonic()
    try:
        how(*command)
    except subprocess.CalledProcessError as error:
        sys.exit(f"cross: {name} failed with code {error.returncode}")
    print(f"cross: {name}: {time.monotonic() - started:.0f} s", flush=True)


def once(name, key, *command, **options):
    """Runs the stage unless it has passed with these files."""
    record = BUILD_CACHE / "results" / f"{name.replace(' ', '-')}-{key}"
    if key and record.exists():
        record.touch()
        print(f"cross: {name}: passed before with these files", flush=True)
        return
    stage(name, *command, **options)
    if key:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()


def under_wine(*command):
    """Runs the tests that Wine can run; a name that none has any more would leave out nothing, and nobody would see it."""
    listed = output(*command, "--", "--list", cwd=TOP).splitlines()
    names = [line.removesuffix(": test") for line in listed if line.endswith(": test")]
    stale = [left_out for left_out in NOT_UNDER_WINE if not any(left_out in name for name in names)]
    if stale:
        sys.exit("cross: no test has this name of NOT_UNDER_WINE: " + ", ".join(stale))
    run(*command, "--", *(part for name in NOT_UNDER_WINE for part in ("--skip", name)), cwd=TOP)


# What unit tests under Wine have digested and unpacked by the megabyte.
BUSY_UNDER_WINE = ("libbz2-rs-sys", "sha2", "zlib-rs")


def unoptimised(but=()):
    """Takes back what the dev profile optimises, for builds that run little or never."""
    with open(TOP / "Cargo.toml", "rb") as manifest:
        packages = tomllib.load(manifest)["profile"]["dev"]["package"]
    optimised = [name for name, profile in packages.items() if "opt-level" in profile and name not in but]
    return [f"--config=profile.dev.package.{name}.opt-level=0" for name in optimised]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--lints", action="store_true")
    options = parser.parse_args()
    macos = [MACOS, MACOS_INTEL] if options.full else [MACOS]

    os.environ.pop("RUSTFLAGS", None)
    os.environ.update(prepare((WINDOWS, *macos)))
    os.environ["PATH"] = f"{CACHE}/bin:{os.environ['PATH']}"
    # Nobody debugs these builds, and each target costs a gigabyte with the tables.
    os.environ.update(CARGO_PROFILE_DEV_DEBUG="0", CARGO_INCREMENTAL="0")

    if options.lints:
        lints = ("clippy", *WORKSPACE, "--all-targets")
        stage("lints for Windows", "cargo", *lints, "--target", WINDOWS, "--", "-D", "warnings")
        for target in macos:
            stage(f"lints for {target}", "cargo-zigbuild", *lints, "--target", target, "--", "-D", "warnings")
        return
    key = content()
    windows = (LINTED, "cargo", "test", *WORKSPACE, *unoptimised(BUSY_UNDER_WINE), "--target", WINDOWS)
    once("lints and links for Windows", key, *windows, "--no-run")
    for target in macos:
        once(f"lints and links for {target}", key, LINTED, "cargo-zigbuild", "zigbuild", *WORKSPACE, *unoptimised(),
             "--all-targets", "--target", target)
    once("tests under Wine", key, *windows, "--lib", "--bins", how=under_wine)


if __name__ == "__main__":
    main()
