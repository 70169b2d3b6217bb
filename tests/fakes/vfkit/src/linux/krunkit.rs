//! The command line of krunkit, by its docs/usage.md.

use std::ffi::OsString;
use std::path::PathBuf;

use super::FakeError;
use super::hardware::{Direction, Disk, Hardware, Network, Share, VsockPort};
use super::vfkit::{address, bootloader, one_of, port};
use super::words::{Given, Known, Parts, flag, value};

const OPTIONS: &[Known] = &[
    value("cpus", None),
    value("memory", None),
    value("bootloader", None),
    value("device", None),
    value("restful-uri", None),
    value("krun-log-level", None),
    value("log-file", None),
    value("pidfile", None),
    value("timesync", None),
    flag("nested", None),
];

/// What libkrun gives a guest at most, in MiB.
const MOST_MEMORY: u64 = 61_440;

/// What the program says when it is asked for its version.
pub(super) fn version(number: &str) -> String {
    format!("krunkit {number}")
}

/// What the options ask for.
pub(super) fn parse(words: &[OsString]) -> Result<Hardware, FakeError> {
    let given = Given::parse(words, OPTIONS)?;
    let need = |name: &str| {
        let number = given.number(name)?;
        number.ok_or_else(|| FakeError::Usage(format!("--{name} is required")))
    };
    let mut hardware = Hardware {
        cpus: need("cpus")?,
        memory_mib: need("memory")?,
        rest: rest(given.one("restful-uri")?)?,
        pid_file: given.one("pidfile")?.map(PathBuf::from),
        ..Hardware::default()
    };
    if hardware.memory_mib > MOST_MEMORY {
        return Err(FakeError::Usage(
            "the maximum amount of memory is 61440 MiB".to_owned(),
        ));
    }
    given.number("krun-log-level")?;
    if let Some(list) = given.one("bootloader")? {
        bootloader(list, &mut hardware)?;
        // Taken and ignored: the firmware brings its own.
        hardware.variable_store = None;
    }
    for list in given.all("device") {
        device(Parts::split(list)?, &mut hardware)?;
    }
    if hardware.disks.is_empty() {
        return Err(FakeError::Usage(
            "at least one virtio-blk device is needed".to_owned(),
        ));
    }
    Ok(hardware)
}

fn rest(uri: Option<&str>) -> Result<Option<PathBuf>, FakeError> {
    match uri {
        None | Some("none://") => Ok(None),
        Some(uri) => match uri.strip_prefix("unix://") {
            // Taken as it is: this one is no URL.
            Some(path) if !path.is_empty() => Ok(Some(path.into())),
            _ => Err(FakeError::Usage(format!("invalid restful URI: {uri}"))),
        },
    }
}

fn device(mut parts: Parts, hardware: &mut Hardware) -> Result<(), FakeError> {
    match &*parts.name {
        "virtio-blk" => {
            let path = parts.need("path")?.into();
            match parts.take("format")?.as_deref() {
                None | Some("raw") => {}
                Some(format) => {
                    let text = format!("the fake has no disks in the format {format}");
                    return Err(FakeError::Usage(text));
                }
            }
            hardware.disks.push(Disk { path, serial: None });
        }
        "virtio-rng" => hardware.random_devices += 1,
        "virtio-serial" => hardware.consoles.push(parts.need("logFilePath")?.into()),
        "virtio-vsock" => {
            let port = port(&parts.need("port")?)?;
            let socket = parts.need("socketURL")?.into();
            parts.flag("listen")?;
            let direction = Direction::Listen;
            hardware.vsock.push(VsockPort {
                port,
                socket,
                direction,
            });
        }
        "virtio-net" => network(&mut parts, hardware)?,
        "virtio-fs" => hardware.shares.push(Share {
            directory: parts.need("sharedDir")?.into(),
            tag: parts.need("mountTag")?,
        }),
        name => {
            let text = format!("invalid virtio device label specified: {name}");
            return Err(FakeError::Usage(text));
        }
    }
    parts.end()
}

/// Only datagrams to a path: what its other kinds are for is not wanted here.
fn network(parts: &mut Parts, hardware: &mut Hardware) -> Result<(), FakeError> {
    let mac = address(&parts.need("mac")?)?;
    let old = parts.take("unixSocketPath")?;
    let path = match (old, parts.take("type")?.as_deref()) {
        (Some(path), None) => path,
        (None, Some("unixgram")) => {
            for key in ["offloading", "vfkitMagic"] {
                match parts.take(key)?.as_deref() {
                    None | Some("on" | "off" | "true" | "false") => {}
                    Some(other) => {
                        return Err(FakeError::Usage(format!("{key}={other} is no boolean")));
                    }
                }
            }
            parts.need("path")?
        }
        _ => return Err(one_of("virtio-net", "unixSocketPath, type=unixgram")),
    };
    hardware
        .networks
        .push((Network::Datagrams(path.into()), Some(mac)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Hardware, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words).map_err(|error| error.to_string())
    }

    /// The examples of the documentation, put together.
    #[test]
    fn documented_examples_are_taken() {
        let hardware = parsed(
            "--cpus 2 --memory 2048 --restful-uri unix:///Users/user/rest.sock --krun-log-level 3 --nested \
             --bootloader efi,variable-store=/Users/user/efi,create --timesync vsockPort=1234 \
             --device virtio-blk,path=/Users/user/disk-image.raw,format=raw --device virtio-rng \
             --device virtio-net,type=unixgram,path=/Users/user/vm-network.sock,mac=ff:ff:ff:ff:ff:ff,offloading=on,vfkitMagic=on \
             --device virtio-serial,logFilePath=/Users/user/vm-output.log \
             --device virtio-vsock,port=1024,socketURL=/Users/user/vm-socket.sock \
             --device virtio-fs,sharedDir=/Users/user/shared-dir,mountTag=MOUNT_TAG",
        )
        .unwrap();
        assert_eq!(hardware.disks.len(), 1);
        assert_eq!(hardware.variable_store, None);
    }

    #[test]
    fn what_is_not_documented_is_refused() {
        let base = "--cpus 1 --memory 512 --device virtio-blk,path=/a";
        parsed(base).unwrap();
        for more in [
            "--log-level debug",
            "--device virtio-balloon",
            "--device virtio-blk,path=/a,deviceId=b",
            "--device virtio-net,nat,mac=5a:94:ef:e4:0c:ee",
            "--device virtio-net,unixSocketPath=/a",
            "--device virtio-vsock,port=1,socketURL=/a,connect",
            "--device rosetta,mountTag=a",
            "--restful-uri tcp://localhost:1",
        ] {
            parsed(&format!("{base} {more}")).unwrap_err();
        }
        parsed("--cpus 1 --memory 512").unwrap_err();
        parsed("--cpus 1 --memory 61441 --device virtio-blk,path=/a").unwrap_err();
        parsed("--memory 512 --device virtio-blk,path=/a").unwrap_err();
    }
}
