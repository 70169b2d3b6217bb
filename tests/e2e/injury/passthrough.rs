//! A file system that passes a directory through, and fails the changes that it is told to fail.
//!
//! Nothing is kept: the kernel asks for everything anew, so the directory may be changed beside it. It serves one program
//! after the other on one thread, which makes the number of a change the same in each run.

#![expect(
    clippy::disallowed_methods,
    reason = "errors of fs_err have no number, and the kernel is to have it"
)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::fault::{Change, Faults};

/// Nothing is kept by the kernel.
const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);
/// `RENAME_NOREPLACE` is the only flag of a rename that is known here.
const PERMISSIONS: u32 = 0o7777;

/// The file system.
pub(crate) struct Passthrough {
    root: PathBuf,
    faults: Arc<Faults>,
    state: Mutex<State>,
}

/// A file of the directory, whatever its names are. The time of its making tells it from a later one of the same number.
type Identity = (u64, u64, Option<SystemTime>);

#[derive(Default)]
struct State {
    numbers: HashMap<Identity, u64>,
    /// A path of each number, as it was found last.
    paths: HashMap<u64, PathBuf>,
    files: HashMap<u64, (u64, Arc<File>)>,
    directories: HashMap<u64, Vec<(u64, FileType, std::ffi::OsString)>>,
    next: u64,
}

impl State {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn number(&mut self, path: &Path, metadata: &Metadata) -> u64 {
        let identity = (metadata.dev(), metadata.ino(), metadata.created().ok());
        let number = if let Some(number) = self.numbers.get(&identity) {
            *number
        } else {
            let number = self.fresh();
            self.numbers.insert(identity, number);
            number
        };
        self.paths.insert(number, path.to_owned());
        number
    }

    fn opened(&mut self, number: u64, file: File) -> FileHandle {
        let handle = self.fresh();
        self.files.insert(handle, (number, Arc::new(file)));
        FileHandle(handle)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(0))
}

fn kind(metadata: &Metadata) -> FileType {
    let kind = metadata.file_type();
    if kind.is_dir() {
        FileType::Directory
    } else if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_fifo() {
        FileType::NamedPipe
    } else if kind.is_socket() {
        FileType::Socket
    } else {
        FileType::RegularFile
    }
}

fn attributes(number: u64, metadata: &Metadata) -> FileAttr {
    let at = |seconds: i64, nanos: i64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    };
    FileAttr {
        ino: INodeNo(number),
        size: metadata.size(),
        blocks: metadata.blocks(),
        atime: at(metadata.atime(), metadata.atime_nsec()),
        mtime: at(metadata.mtime(), metadata.mtime_nsec()),
        ctime: at(metadata.ctime(), metadata.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(metadata),
        perm: u16::try_from(metadata.mode() & PERMISSIONS).unwrap_or(0),
        nlink: u32::try_from(metadata.nlink()).unwrap_or(1),
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Passthrough {
    /// Passes `root` through.
    pub(crate) fn new(root: &Path, faults: Arc<Faults>) -> io::Result<Self> {
        let mut state = State::default();
        // The kernel knows the root by the number 1.
        state.number(root, &std::fs::symlink_metadata(root)?);
        Ok(Self {
            root: root.to_owned(),
            faults,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: INodeNo) -> Result<PathBuf, Errno> {
        let path = self.state().paths.get(&number.0).cloned();
        path.ok_or(Errno::ESTALE)
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> Result<PathBuf, Errno> {
        Ok(self.path(parent)?.join(name))
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<File>, Errno> {
        let found = self
            .state()
            .files
            .get(&handle.0)
            .map(|(_, file)| file.clone());
        found.ok_or(Errno::EBADF)
    }

    fn meet(&self, change: Change, path: &Path) -> Result<(), Errno> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        self.faults.meet(change, below)
    }

    fn entry(&self, path: &Path) -> Result<FileAttr, Errno> {
        let metadata = std::fs::symlink_metadata(path).map_err(|error| errno(&error))?;
        Ok(attributes(self.state().number(path, &metadata), &metadata))
    }

    /// Makes something at a path, and says what it is.
    fn make(
        &self,
        change: Change,
        path: Result<PathBuf, Errno>,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<FileAttr, Errno> {
        let path = path?;
        self.meet(change, &path)?;
        make(&path).map_err(|error| errno(&error))?;
        self.entry(&path)
    }

    /// What is known of a file; one that is open has no path any more after it was removed.
    fn look(&self, number: INodeNo, handle: Option<FileHandle>) -> Result<Metadata, Errno> {
        let open = {
            let state = self.state();
            let of_handle = handle.and_then(|handle| state.files.get(&handle.0));
            let any = || state.files.values().find(|(of, _)| *of == number.0);
            of_handle.or_else(any).map(|(_, file)| file.clone())
        };
        let metadata = match open {
            Some(file) => file.metadata(),
            None => std::fs::symlink_metadata(self.path(number)?),
        };
        metadata.map_err(|error| errno(&error))
    }

    fn set(
        &self,
        number: INodeNo,
        handle: Option<FileHandle>,
        mode: Option<u32>,
        size: Option<u64>,
        modified: Option<TimeOrNow>,
    ) -> Result<FileAttr, Errno> {
        let path = self.path(number)?;
        self.meet(Change::Attributes, &path)?;
        let change = || {
            if let Some(mode) = mode {
                let mode = std::fs::Permissions::from_mode(mode & PERMISSIONS);
                std::fs::set_permissions(&path, mode)?;
            }
            if let Some(size) = size {
                match handle.and_then(|handle| self.file(handle).ok()) {
                    Some(file) => file.set_len(size)?,
                    None => OpenOptions::new().write(true).open(&path)?.set_len(size)?,
                }
            }
            if let Some(modified) = modified {
                let at = match modified {
                    TimeOrNow::SpecificTime(at) => at,
                    TimeOrNow::Now => SystemTime::now(),
                };
                File::open(&path)?.set_modified(at)?;
            }
            Ok(())
        };
        change().map_err(|error: io::Error| errno(&error))?;
        Ok(attributes(number.0, &self.look(number, handle)?))
    }

    fn rename_to(&self, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        self.meet(Change::Rename, to)?;
        if flags.contains(RenameFlags::RENAME_NOREPLACE) {
            if std::fs::symlink_metadata(to).is_ok() {
                return Err(Errno::EEXIST);
            }
        } else if !flags.is_empty() {
            return Err(Errno::EINVAL);
        }
        std::fs::rename(from, to).map_err(|error| errno(&error))?;
        let mut state = self.state();
        for path in state.paths.values_mut() {
            if let Ok(rest) = path.strip_prefix(from) {
                *path = if rest.as_os_str().is_empty() {
                    to.to_owned()
                } else {
                    to.join(rest)
                };
            }
        }
        Ok(())
    }

    fn open_at(&self, number: INodeNo, flags: OpenFlags) -> Result<FileHandle, Errno> {
        let path = self.path(number)?;
        let (read, write) = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => (true, false),
            OpenAccMode::O_WRONLY => (false, true),
            OpenAccMode::O_RDWR => (true, true),
        };
        // The kernel says where an append goes, and truncates on its own.
        let file = OpenOptions::new().read(read).write(write).open(path);
        let file = file.map_err(|error| errno(&error))?;
        Ok(self.state().opened(number.0, file))
    }

    fn list(&self, number: INodeNo) -> Result<FileHandle, Errno> {
        let path = self.path(number)?;
        let mut found = vec![
            (number.0, FileType::Directory, ".".into()),
            (number.0, FileType::Directory, "..".into()),
        ];
        let mut read = || {
            for entry in std::fs::read_dir(&path)? {
                let entry = entry?;
                // Number 0 means nothing to the kernel; each is looked up by its name.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                found.push((metadata.ino(), kind(&metadata), entry.file_name()));
            }
            Ok(())
        };
        read().map_err(|error: io::Error| errno(&error))?;
        let mut state = self.state();
        let handle = state.fresh();
        state.directories.insert(handle, found);
        Ok(FileHandle(handle))
    }
}

fn answer<R>(result: Result<(), Errno>, reply: R, ok: fn(R), error: fn(R, Errno)) {
    match result {
        Ok(()) => ok(reply),
        Err(errno) => error(reply, errno),
    }
}

fn empty(result: Result<(), Errno>, reply: ReplyEmpty) {
    answer(result, reply, ReplyEmpty::ok, ReplyEmpty::error);
}

fn entry(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attributes) => reply.entry(&TTL, &attributes, GENERATION),
        Err(errno) => reply.error(errno),
    }
}

fn data(result: Result<Vec<u8>, Errno>, reply: ReplyData) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(errno) => reply.error(errno),
    }
}

fn opened(result: Result<FileHandle, Errno>, reply: ReplyOpen) {
    match result {
        Ok(handle) => reply.opened(handle, FopenFlags::empty()),
        Err(errno) => reply.error(errno),
    }
}

fn attribute(result: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match result {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Passthrough {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.child(parent, name).and_then(|path| self.entry(&path));
        entry(found, reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.look(number, handle);
        attribute(found.map(|metadata| attributes(number.0, &metadata)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        attribute(self.set(number, handle, mode, size, modified), reply);
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let target = self.path(number).and_then(|path| {
            let target = std::fs::read_link(path).map_err(|error| errno(&error))?;
            Ok(target.into_os_string().into_encoded_bytes())
        });
        data(target, reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mode = mode & !umask & PERMISSIONS;
        let made = self.make(Change::Create, self.child(parent, name), |path| {
            std::fs::DirBuilder::new().mode(mode).create(path)
        });
        entry(made, reply);
    }

    fn symlink(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let made = self.make(Change::Create, self.child(parent, name), |path| {
            std::os::unix::fs::symlink(target, path)
        });
        entry(made, reply);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let made = self.path(number).and_then(|old| {
            self.make(Change::Link, self.child(parent, name), |path| {
                std::fs::hard_link(old, path)
            })
        });
        entry(made, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.child(parent, name).and_then(|path| {
            self.meet(Change::Unlink, &path)?;
            std::fs::remove_file(path).map_err(|error| errno(&error))
        });
        empty(done, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.child(parent, name).and_then(|path| {
            self.meet(Change::Unlink, &path)?;
            std::fs::remove_dir(path).map_err(|error| errno(&error))
        });
        empty(done, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let from = self.child(parent, name);
        let done = from.and_then(|from| {
            let to = self.child(new_parent, new_name)?;
            self.rename_to(&from, &to, flags)
        });
        empty(done, reply);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        opened(self.open_at(number, flags), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut file = None;
        let made = self.make(Change::Create, self.child(parent, name), |path| {
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(mode & !umask & PERMISSIONS)
                .open(path)?;
            file = Some(made);
            Ok(())
        });
        match (made, file) {
            (Ok(attributes), Some(file)) => {
                let handle = self.state().opened(attributes.ino.0, file);
                reply.created(&TTL, &attributes, GENERATION, handle, FopenFlags::empty());
            }
            (Err(errno), _) => reply.error(errno),
            (Ok(_), None) => reply.error(Errno::EIO),
        }
    }

    fn read(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.file(handle).and_then(|file| {
            let mut bytes = vec![0; size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                let at = offset + filled as u64;
                match file.read_at(&mut bytes[filled..], at) {
                    Ok(0) => break,
                    Ok(length) => filled += length,
                    Err(error) => return Err(errno(&error)),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        });
        data(read, reply);
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.path(number).and_then(|path| {
            self.meet(Change::Write, &path)?;
            let file = self.file(handle)?;
            file.write_all_at(data, offset)
                .map_err(|error| errno(&error))
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(
        &self,
        _: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.state().files.remove(&handle.0);
        reply.ok();
    }

    /// Nothing is brought to the disk: no test takes the power away.
    fn fsync(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let path = self.path(number);
        empty(path.and_then(|path| self.meet(Change::Sync, &path)), reply);
    }

    fn fsyncdir(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let path = self.path(number);
        empty(path.and_then(|path| self.meet(Change::Sync, &path)), reply);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        opened(self.list(number), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.state();
        let Some(found) = state.directories.get(&handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (number, kind, name)) in found.iter().enumerate().skip(from) {
            if reply.add(INodeNo(*number), index as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.state().directories.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _number: INodeNo, reply: ReplyStatfs) {
        match rustix::fs::statvfs(&self.root) {
            Ok(found) => {
                let size = |size: u64| u32::try_from(size).unwrap_or(4096);
                reply.statfs(
                    found.f_blocks,
                    found.f_bfree,
                    found.f_bavail,
                    found.f_files,
                    found.f_ffree,
                    size(found.f_bsize),
                    255,
                    size(found.f_frsize),
                );
            }
            Err(error) => reply.error(Errno::from_i32(error.raw_os_error())),
        }
    }
}
