//! Finding the programs we start.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::sys;

/// The first executable file called `name` in the `extra` directories, then in those of `PATH`.
///
/// A name with a directory in it is a path and is only checked. Entries of `PATH` that are relative
/// are skipped: what they mean depends on the working directory.
pub fn find(name: &str, extra: &[PathBuf]) -> Option<PathBuf> {
    find_in(name, extra, std::env::var_os("PATH").as_deref())
}

fn find_in(name: &str, extra: &[PathBuf], path: Option<&OsStr>) -> Option<PathBuf> {
    if Path::new(name).components().count() != 1 {
        return executable(Path::new(name));
    }
    let listed = path
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|path| path.is_absolute());
    extra
        .iter()
        .cloned()
        .chain(listed)
        .find_map(|directory| executable(&directory.join(name)))
}

fn executable(path: &Path) -> Option<PathBuf> {
    sys::names_of_program(path)
        .into_iter()
        .find(|path| path.is_file() && sys::is_executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_directories_come_first_and_only_programs_count() {
        let running = std::env::current_exe().unwrap();
        let name = running.file_name().unwrap().to_str().unwrap();
        let own = running.parent().unwrap().to_owned();
        let other = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([other.path(), &own]).unwrap();

        assert_eq!(find_in(name, &[], Some(&path)), Some(running.clone()));
        assert_eq!(find_in("no-such-program", &[], Some(&path)), None);
        assert_eq!(find_in(name, &[], None), None);
        // A directory of that name is no program.
        fs_err::create_dir(other.path().join(name)).unwrap();
        assert_eq!(find_in(name, &[], Some(&path)), Some(running.clone()));
        fs_err::remove_dir(other.path().join(name)).unwrap();

        let copy = other.path().join(name);
        fs_err::copy(&running, &copy).unwrap();
        let own_only = std::env::join_paths([&own]).unwrap();
        assert_eq!(
            find_in(name, &[other.path().to_owned()], Some(&own_only)),
            Some(copy.clone())
        );
        assert_eq!(find_in(copy.to_str().unwrap(), &[], None), Some(copy));
    }

    #[test]
    fn relative_entries_of_path_are_skipped() {
        let running = std::env::current_exe().unwrap();
        let name = running.file_name().unwrap().to_str().unwrap();
        assert_eq!(find_in(name, &[], Some(OsStr::new("."))), None);
        assert_eq!(find_in(name, &[], Some(OsStr::new(""))), None);
    }
}
