//! Finds the disk by its serial number, which the kernel tells in `/sys/block` (virtio and SCSI beside it, `NVMe` below).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Problem;
use crate::linux::watch;

/// How long the disk may come later than the one that the agent comes from.
pub(super) const WAIT: Duration = Duration::from_secs(20);
/// More than any serial number has.
const LIMIT: u64 = 256;
/// Where a driver says it, below the disk's own directory.
const PLACES: [&str; 2] = ["serial", "device/serial"];

/// The disk's device, as soon as it is there.
pub(super) async fn find(root: &Path, serial: &str, wait: Duration) -> Result<PathBuf, Problem> {
    // udev makes this link a moment after the kernel has found a disk.
    let sign = root.join("dev/disk/by-id").join(format!("virtio-{serial}"));
    let found = watch::until(&sign, || look(root, serial));
    match tokio::time::timeout(wait, found).await {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(format!("the data disk could not be waited for: {error}")),
        Err(_) => Err(format!(
            "the data disk is not attached: the guest has no disk with the serial number `{serial}`"
        )),
    }
}

/// The first disk of that number, by name.
fn look(root: &Path, serial: &str) -> Option<PathBuf> {
    let disks = fs_err::read_dir(root.join("sys/block")).ok()?;
    let mut names: Vec<_> = disks.flatten().map(|disk| disk.file_name()).collect();
    names.sort();
    let has_it = |name: &std::ffi::OsString| {
        let directory = root.join("sys/block").join(name);
        PLACES.iter().any(|place| {
            let mut text = String::new();
            let file = fs_err::File::open(directory.join(place));
            let read = file.and_then(|file| file.take(LIMIT).read_to_string(&mut text));
            read.is_ok() && text.trim() == serial
        })
    };
    let name = names.into_iter().find(has_it)?;
    let device = root.join("dev").join(name);
    device.exists().then_some(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    #[tokio::test]
    async fn by_its_number_alone() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(root, "sys/block/vda/serial", "machine-seed\n");
        put(root, "sys/block/vdb/size", "8\n");
        put(root, "sys/block/vdc/serial", "machine-data\n");
        put(root, "dev/vda", "");
        let soon = Duration::from_millis(20);
        // The kernel knows it, and its node is not there yet.
        let problem = find(root, "machine-data", soon).await.unwrap_err();
        assert!(problem.contains("no disk with the serial number `machine-data`"));
        put(root, "dev/vdc", "");
        let device = find(root, "machine-data", soon).await.unwrap();
        assert_eq!(device, root.join("dev/vdc"));
        find(root, "machine", soon).await.unwrap_err();

        put(root, "sys/block/nvme0n1/device/serial", "other   \n");
        put(root, "dev/nvme0n1", "");
        let device = find(root, "other", soon).await.unwrap();
        assert_eq!(device, root.join("dev/nvme0n1"));
    }

    #[tokio::test]
    async fn a_disk_that_comes_later() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(root, "dev/null", "");
        let coming = async {
            tokio::task::yield_now().await;
            put(root, "sys/block/vdc/serial", "machine-data\n");
            put(root, "dev/vdc", "");
            put(root, "dev/disk/by-id/virtio-machine-data", "");
        };
        let (found, ()) = tokio::join!(find(root, "machine-data", Duration::from_secs(10)), coming);
        assert_eq!(found.unwrap(), root.join("dev/vdc"));
    }
}
