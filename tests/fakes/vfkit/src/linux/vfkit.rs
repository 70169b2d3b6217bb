//! The command line of vfkit, by its doc/usage.md.

use std::ffi::OsString;
use std::path::PathBuf;

use super::FakeError;
use super::hardware::{Direction, Disk, Hardware, Network, Share, VsockPort};
use super::words::{Given, Known, Parts, flag, value};

const OPTIONS: &[Known] = &[
    value("cpus", Some('c')),
    value("memory", Some('m')),
    value("bootloader", Some('b')),
    value("device", Some('d')),
    value("restful-uri", None),
    value("log-level", None),
    value("timesync", Some('t')),
    value("pidfile", None),
    flag("nested", Some('n')),
    flag("gui", None),
];

/// What the program says when it is asked for its version.
pub(super) fn version(number: &str) -> String {
    format!("vfkit version: v{number}")
}

/// What the options ask for.
pub(super) fn parse(words: &[OsString]) -> Result<Hardware, FakeError> {
    let given = Given::parse(words, OPTIONS)?;
    let mut hardware = Hardware {
        cpus: given.number("cpus")?.unwrap_or(1),
        memory_mib: given.number("memory")?.unwrap_or(512),
        rest: rest(given.one("restful-uri")?)?,
        pid_file: given.one("pidfile")?.map(PathBuf::from),
        ..Hardware::default()
    };
    match given.one("log-level")? {
        None | Some("debug" | "info" | "error") => {}
        Some(level) => return Err(FakeError::Usage(format!("unknown log level: {level}"))),
    }
    if let Some(list) = given.one("timesync")? {
        // It has no name in front.
        let mut parts = Parts::split(&format!("timesync,{list}"))?;
        port(&parts.need("vsockPort")?)?;
        parts.end()?;
    }
    let loader = given.one("bootloader")?;
    let loader =
        loader.ok_or_else(|| FakeError::Usage("no bootloader is configured".to_owned()))?;
    bootloader(loader, &mut hardware)?;
    for list in given.all("device") {
        device(Parts::split(list)?, &mut hardware)?;
    }
    Ok(hardware)
}

/// `none://`, which is the default, or `unix:///PATH`. The fake has no TCP: nobody here may want it.
fn rest(uri: Option<&str>) -> Result<Option<PathBuf>, FakeError> {
    let Some(uri) = uri else { return Ok(None) };
    if uri == "none://" {
        return Ok(None);
    }
    let path = uri.strip_prefix("unix://");
    match path.filter(|path| path.starts_with('/')) {
        Some(path) => Ok(Some(super::hardware::from_url(path)?)),
        None => Err(FakeError::Usage(format!("invalid restful URI: {uri}"))),
    }
}

/// `efi,variable-store=PATH[,create]`: the other bootloaders are for kernels and for macOS.
pub(super) fn bootloader(list: &str, hardware: &mut Hardware) -> Result<(), FakeError> {
    let mut parts = Parts::split(list)?;
    if parts.name != "efi" {
        return Err(FakeError::Usage(format!(
            "unknown bootloader type: {}",
            parts.name
        )));
    }
    hardware.variable_store = Some(parts.need("variable-store")?.into());
    hardware.create_variable_store = parts.flag("create")?;
    parts.end()
}

fn device(mut parts: Parts, hardware: &mut Hardware) -> Result<(), FakeError> {
    match &*parts.name {
        "virtio-blk" => hardware.disks.push(Disk {
            path: parts.need("path")?.into(),
            serial: parts.take("deviceId")?,
        }),
        "virtio-rng" => hardware.random_devices += 1,
        "virtio-balloon" => hardware.balloons += 1,
        "virtio-serial" => {
            let log = parts.take("logFilePath")?;
            match (log, parts.flag("stdio")?, parts.flag("pty")?) {
                (Some(log), false, false) => hardware.consoles.push(log.into()),
                _ => return Err(one_of("virtio-serial", "logFilePath, stdio, pty")),
            }
        }
        "virtio-vsock" => {
            let port = port(&parts.need("port")?)?;
            let socket = super::hardware::from_url(&parts.need("socketURL")?)?;
            let direction = match (parts.flag("listen")?, parts.flag("connect")?) {
                (_, false) => Direction::Listen,
                (false, true) => Direction::Connect,
                (true, true) => return Err(one_of("virtio-vsock", "listen, connect")),
            };
            hardware.vsock.push(VsockPort {
                port,
                socket,
                direction,
            });
        }
        "virtio-net" => {
            let mac = parts.take("mac")?.map(|mac| address(&mac)).transpose()?;
            let socket = parts.take("unixSocketPath")?;
            let way = match (parts.flag("nat")?, socket) {
                (true, None) => Network::Nat,
                (false, Some(path)) => Network::Datagrams(path.into()),
                _ => return Err(one_of("virtio-net", "nat, fd, unixSocketPath")),
            };
            hardware.networks.push((way, mac));
        }
        "virtio-fs" => hardware.shares.push(Share {
            directory: parts.need("sharedDir")?.into(),
            tag: parts.need("mountTag")?,
        }),
        "rosetta" => {
            parts.need("mountTag")?;
            parts.flag("install")?;
            parts.flag("ignoreIfMissing")?;
            hardware.rosetta = true;
        }
        name => return Err(FakeError::Usage(format!("unknown device type: {name}"))),
    }
    parts.end()
}

pub(super) fn one_of(device: &str, keys: &str) -> FakeError {
    FakeError::Usage(format!("{device} needs exactly one of {keys}"))
}

pub(super) fn port(text: &str) -> Result<u32, FakeError> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(FakeError::Usage(format!("`{text}` is no vsock port"))),
    }
}

/// Six bytes in hexadecimal.
pub(super) fn address(text: &str) -> Result<[u8; 6], FakeError> {
    let wrong = || FakeError::Usage(format!("address {text}: invalid MAC address"));
    let bytes: Vec<u8> = text
        .split(':')
        .filter(|part| part.len() == 2)
        .filter_map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    bytes.try_into().map_err(|_| wrong())
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
            "--cpus 2 --memory 2048 --log-level debug --restful-uri unix:///Users/virtuser/rest.sock \
             --bootloader efi,variable-store=/Users/virtuser/efi-variable-store,create --timesync vsockPort=1234 \
             --device virtio-blk,path=/Users/virtuser/vfkit.img --device virtio-rng --device virtio-balloon \
             --device virtio-net,nat,mac=52:54:00:70:2b:71 \
             --device virtio-serial,logFilePath=/Users/virtuser/vfkit.log \
             --device virtio-vsock,port=5,socketURL=/Users/virtuser/vfkit-5.sock \
             --device virtio-vsock,port=6,socketURL=/Users/virtuser/vfkit-6.sock,connect \
             --device virtio-fs,sharedDir=/Users/virtuser/vfkit/,mountTag=vfkit-share \
             --device rosetta,mountTag=rosetta-share,install",
        )
        .unwrap();
        assert_eq!((hardware.cpus, hardware.memory_mib), (2, 2048));
        assert_eq!(hardware.vsock[0].direction, Direction::Listen);
        assert_eq!(hardware.vsock[1].direction, Direction::Connect);
        assert_eq!(hardware.rest, Some("/Users/virtuser/rest.sock".into()));
        assert!(hardware.rosetta);
    }

    #[test]
    fn what_is_not_documented_is_refused() {
        let base = "--bootloader efi,variable-store=/e,create";
        parsed(base).unwrap();
        for more in [
            "--device virtio-disk,path=/a",
            "--device virtio-blk,path=/a,format=raw",
            "--device virtio-blk",
            "--device virtio-rng,fast",
            "--device virtio-net",
            "--device virtio-net,nat,unixSocketPath=/a",
            "--device virtio-net,nat,mac=5254:00:70:2b:71",
            "--device virtio-net,type=unixgram,path=/a",
            "--device virtio-serial",
            "--device virtio-vsock,port=0,socketURL=/a",
            "--device virtio-vsock,port=1,socketURL=/a,listen,connect",
            "--device virtio-fs,sharedDir=/a",
            "--device rosetta",
            "--device rosetta,install",
            "--device rosetta,mountTag=a,install=true",
            "--device rosetta,mountTag=a,shared",
            "--restful-uri tcp://localhost:1",
            "--restful-uri unix://a/b",
            "--timesync 1234",
            "--krun-log-level 3",
            "--nested=1",
        ] {
            parsed(&format!("{base} {more}")).unwrap_err();
        }
        parsed("--cpus 1").unwrap_err();
        parsed("--bootloader efi,create").unwrap_err();
        parsed("--bootloader bios,variable-store=/e").unwrap_err();
    }
}
