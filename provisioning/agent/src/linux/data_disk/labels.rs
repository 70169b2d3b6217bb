//! `SELinux`' labels, where the guest has it. What a guest without it wrote has none, so a file on the disk says that all
//! of it was labelled; it is taken away where labels are not kept up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Problem;
use crate::linux::mounting::has_selinux;
use crate::linux::paths::Paths;
use crate::linux::{files, notify, program};

/// Says that everything on the disk has its label.
const FILE: &str = ".machine-data-labelled";
/// Every file is visited, once in the life of most disks.
const LIMIT: Duration = Duration::from_mins(10);

/// Labels the places as their paths demand: those on the disk with all that is in them, once, and what was made for them.
pub(super) async fn keep(
    paths: &Paths,
    disk: &Path,
    places: &[PathBuf],
    made: &[PathBuf],
) -> Result<(), Problem> {
    let failed = |problem: Problem| format!("the data disk could not be labelled: {problem}");
    let file = disk.join(FILE);
    if !has_selinux(paths.root()) {
        let removed = files::remove(&file).map(drop);
        return removed.map_err(|error| failed(error.to_string()));
    }
    if !made.is_empty() {
        run(paths, &[], made).await.map_err(failed)?;
    }
    if !file.exists() {
        // Not what is in them: by this way it would get other labels.
        let above = ["", "root", "user"].map(|name| disk.join(name));
        run(paths, &[], &above).await.map_err(failed)?;
        // Labels that containers need and were set on purpose stay: those types are customizable.
        run(paths, &["-R"], places).await.map_err(failed)?;
        files::write(&file, b"").map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

async fn run(paths: &Paths, options: &[&str], targets: &[PathBuf]) -> Result<(), Problem> {
    notify::takes(LIMIT);
    let targets: Vec<_> = targets
        .iter()
        .map(|target| target.to_string_lossy())
        .collect();
    let mut arguments = options.to_vec();
    arguments.push("--");
    arguments.extend(targets.iter().map(AsRef::as_ref));
    program::run(paths, "restorecon", &arguments, LIMIT).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    #[tokio::test]
    async fn once_for_what_is_there() {
        let stub = Stub::new();
        stub.program("usr/sbin/restorecon", "");
        fs_err::create_dir_all(stub.path("disk")).unwrap();
        let places = ["/a".into(), "/b c".into()];
        let disk = stub.path("disk");
        let keep = async |made: &[PathBuf]| keep(&stub.paths, &disk, &places, made).await;
        keep(&["/new".into()]).await.unwrap();
        assert_eq!(stub.calls(), [""; 0]);

        stub.put("sys/fs/selinux/enforce", "1");
        keep(&["/new".into()]).await.unwrap();
        let disk = disk.display();
        let above = format!("restorecon -- {disk}/ {disk}/root {disk}/user");
        let all = "restorecon -R -- /a /b c".to_owned();
        let first = ["restorecon -- /new".to_owned(), above.clone(), all.clone()];
        assert_eq!(stub.calls(), first);
        keep(&[]).await.unwrap();
        assert_eq!(stub.calls(), [""; 0]);

        // A guest without it has written meanwhile.
        fs_err::remove_file(stub.path("sys/fs/selinux/enforce")).unwrap();
        keep(&[]).await.unwrap();
        stub.put("sys/fs/selinux/enforce", "1");
        keep(&[]).await.unwrap();
        assert_eq!(stub.calls(), [above, all]);
    }

    #[tokio::test]
    async fn what_was_cut_off_is_done_again() {
        let stub = Stub::new();
        stub.put("sys/fs/selinux/enforce", "1");
        fs_err::create_dir_all(stub.path("disk")).unwrap();
        let disk = stub.path("disk");
        let problem = keep(&stub.paths, &disk, &["/a".into()], &[])
            .await
            .unwrap_err();
        assert_eq!(
            problem,
            "the data disk could not be labelled: the guest has no `restorecon`"
        );
        stub.program(
            "usr/sbin/restorecon",
            "echo Input/output error >&2; exit 255",
        );
        let problem = keep(&stub.paths, &disk, &["/a".into()], &[])
            .await
            .unwrap_err();
        assert!(problem.ends_with("Input/output error"), "{problem}");
        assert!(!disk.join(FILE).exists());
    }
}
