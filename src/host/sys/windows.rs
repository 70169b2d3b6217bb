//! Windows: processes by handles, and the places where its files behave differently.

mod session;

use std::fs::{File, Metadata};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
    FILETIME, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OPEN_REPARSE_POINT, GetDiskFreeSpaceExW};
use windows_sys::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
};
use windows_sys::Win32::System::Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_DWORD, RegGetValueW};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CreateEventW, DETACHED_PROCESS,
    GetProcessTimes, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, SetEvent, TerminateProcess, WaitForMultipleObjects, WaitForSingleObject,
};

pub(crate) use self::session::SessionEnd;
use crate::process::ProcessIdentity;

/// Windows has no numbers of users; the guest's first user is this.
const USER_ID: u32 = 1000;

/// Waits between tries to take a file's place while another program has it open; 2.5 s in all.
const RETRIES: [Duration; 8] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
    Duration::from_millis(640),
    Duration::from_millis(1280),
];

/// How often a process is looked at where no thread could be had to wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn user_id() -> u32 {
    USER_ID
}

pub(crate) fn group_id() -> u32 {
    USER_ID
}

pub(crate) fn effective_root() -> bool {
    false
}

#[expect(unsafe_code, reason = "Win32 call")]
pub(crate) fn memory_bytes() -> u64 {
    let mut status = MEMORYSTATUSEX {
        dwLength: u32::try_from(size_of::<MEMORYSTATUSEX>()).unwrap_or(0),
        ..MEMORYSTATUSEX::default()
    };
    // SAFETY: the structure says its own size and lives through the call.
    if unsafe { GlobalMemoryStatusEx(&raw mut status) } == 0 {
        0
    } else {
        status.ullTotalPhys
    }
}

#[expect(unsafe_code, reason = "Win32 call")]
pub(crate) fn boot_id() -> Option<String> {
    let key =
        r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters";
    let (key, value) = (wide(Path::new(key)), wide(Path::new("BootId")));
    let (mut number, mut size) = (0_u32, 4_u32);
    // SAFETY: both texts end with a NUL, and a REG_DWORD fits into the four bytes that `size` says.
    let result = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            value.as_ptr(),
            RRF_RT_REG_DWORD,
            std::ptr::null_mut(),
            (&raw mut number).cast(),
            &raw mut size,
        )
    };
    (result == 0).then(|| format!("boot-{number}"))
}

#[expect(unsafe_code, reason = "Win32 call")]
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = wide(path);
    let mut bytes = 0;
    // SAFETY: the path ends with a NUL; the two results that are not wanted may be null.
    let result = unsafe {
        GetDiskFreeSpaceExW(
            path.as_ptr(),
            &raw mut bytes,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(bytes)
    }
}

#[expect(unsafe_code, reason = "Win32 call")]
pub(crate) fn total_bytes(path: &Path) -> io::Result<u64> {
    let path = wide(path);
    let mut bytes = 0;
    // SAFETY: the path ends with a NUL; the two results that are not wanted may be null.
    let result = unsafe {
        GetDiskFreeSpaceExW(
            path.as_ptr(),
            std::ptr::null_mut(),
            &raw mut bytes,
            std::ptr::null_mut(),
        )
    };
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(bytes)
    }
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Whether a file can be run is said by the end of its name, see [`names_of_program`].
pub(crate) fn is_executable(_path: &Path) -> bool {
    true
}

/// The name as it is when it says `.exe`, else with `.exe`. Scripts (`.cmd`, `.bat`) are not
/// programs that could be started without a shell.
pub(crate) fn names_of_program(path: &Path) -> Vec<PathBuf> {
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("exe"))
    {
        return vec![path.to_owned()];
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".exe");
    vec![PathBuf::from(name)]
}

/// Modes do not exist here: the user's profile is private by its access list.
#[expect(clippy::unnecessary_wraps, reason = "same signature on each system")]
pub(crate) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Owners are no numbers here.
pub(crate) fn owner(_metadata: &Metadata) -> Option<u32> {
    None
}

pub(crate) fn mode(_metadata: &Metadata) -> Option<u32> {
    None
}

/// Sockets are pipes here, and pipes are no files.
pub(crate) fn is_socket(_metadata: &Metadata) -> bool {
    false
}

#[expect(clippy::unnecessary_wraps, reason = "same signature on each system")]
pub(crate) fn make_private(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    // A link is opened itself, and shows as one.
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)?;
    if !file.metadata()?.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "it is no file"));
    }
    Ok(file)
}

/// A scanner or indexer opens new files for a moment, and a file that is open cannot be replaced.
#[expect(
    clippy::disallowed_methods,
    reason = "no event tells that another program closed a file"
)]
pub(crate) fn persist(mut file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    let mut waits = RETRIES.into_iter();
    loop {
        let Err(failed) = file.persist(path) else {
            return Ok(());
        };
        let code = failed
            .error
            .raw_os_error()
            .and_then(|code| u32::try_from(code).ok());
        let in_use = matches!(
            code,
            Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION | ERROR_LOCK_VIOLATION)
        );
        match waits.next() {
            Some(wait) if in_use && !path.is_dir() => std::thread::sleep(wait),
            _ => return Err(failed.error),
        }
        file = failed.file;
    }
}

/// NTFS writes renames to its journal by itself; a directory cannot be opened for syncing.
#[expect(clippy::unnecessary_wraps, reason = "same signature on each system")]
pub(crate) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn create_private_directories(path: &Path) -> io::Result<()> {
    fs_err::create_dir_all(path)
}

pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
}

/// The profile is private by its access list; within it there is nothing to share with.
pub(crate) fn open_shared(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    open_private(path)
}

/// std locks by `LockFileEx` with all bytes, as Go's tools do.
pub(crate) fn lock_record(file: &File, wait: bool) -> io::Result<bool> {
    if wait {
        return file.lock().map(|()| true);
    }
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A file that is open without permission to delete it, as locks are, stays at its path.
pub(crate) fn same_file(_file: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

pub(crate) fn spawn_detached(command: &mut Command, input: Stdio) -> io::Result<Child> {
    keep_standard_handles();
    let flags = DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP;
    command
        .stdin(input)
        .creation_flags(flags | CREATE_BREAKAWAY_FROM_JOB);
    match command.spawn() {
        // The job that we are in does not let go of its processes.
        Err(error) if error.raw_os_error().map(i32::cast_unsigned) == Some(ERROR_ACCESS_DENIED) => {
            command.creation_flags(flags).spawn()
        }
        result => result,
    }
}

/// Our own standard handles came by inheritance and would be handed down with it, so that a reader
/// of our output would wait for the end of the detached process. std gives duplicates on purpose.
#[expect(unsafe_code, reason = "Win32 call")]
fn keep_standard_handles() {
    for which in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // SAFETY: takes no pointer; the handle belongs to this process for all of its life.
        let handle = unsafe { GetStdHandle(which) };
        if !handle.is_null() && handle != INVALID_HANDLE_VALUE {
            // SAFETY: as above. A failure leaves the handle as it was.
            unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
        }
    }
}

/// A handle of the process that has this number now; while it is open the number is not used again.
#[expect(unsafe_code, reason = "Win32 call")]
fn open(pid: u32, access: u32) -> io::Result<Option<OwnedHandle>> {
    // SAFETY: takes no pointer.
    let handle = unsafe { OpenProcess(access, 0, pid) };
    if handle.is_null() {
        let error = io::Error::last_os_error();
        return match error.raw_os_error().map(i32::cast_unsigned) {
            // Access denied: another user's, so not one that this user started.
            Some(ERROR_INVALID_PARAMETER | ERROR_ACCESS_DENIED) => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: the call succeeded, so the handle is ours and nobody else closes it.
    Ok(Some(unsafe { OwnedHandle::from_raw_handle(handle) }))
}

/// The start of a process in units of 100 ns since 1601; `None` when it has ended.
#[expect(unsafe_code, reason = "Win32 calls")]
fn start_of(process: &OwnedHandle) -> io::Result<Option<u64>> {
    // SAFETY: the handle is open; no pointer is passed.
    if unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } != WAIT_TIMEOUT {
        return Ok(None);
    }
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle is open and the four results live through the call.
    let result = unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) };
    if result == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Some(
        u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime),
    ))
}

const LOOK: u32 = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;

pub(crate) fn process_start(pid: u32) -> io::Result<Option<u64>> {
    match open(pid, LOOK)? {
        Some(process) => start_of(&process),
        None => Ok(None),
    }
}

/// A handle of exactly this process; `None` when it is gone.
fn open_exactly(identity: &ProcessIdentity, access: u32) -> io::Result<Option<OwnedHandle>> {
    let Some(process) = open(identity.pid, LOOK | access)? else {
        return Ok(None);
    };
    let same =
        start_of(&process)? == Some(identity.started) && identity.boot == crate::facts::boot_id();
    Ok(same.then_some(process))
}

#[expect(unsafe_code, reason = "Win32 call")]
pub(crate) fn kill(identity: &ProcessIdentity) -> io::Result<()> {
    let Some(process) = open_exactly(identity, PROCESS_TERMINATE)? else {
        return Ok(());
    };
    // SAFETY: the handle is open; no pointer is passed.
    if unsafe { TerminateProcess(process.as_raw_handle(), 1) } != 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // One that is just ending refuses.
    if identity.is_alive() {
        Err(error)
    } else {
        Ok(())
    }
}

pub(crate) fn terminate(identity: &ProcessIdentity) -> io::Result<()> {
    if identity.is_alive() {
        Err(io::ErrorKind::Unsupported.into())
    } else {
        Ok(())
    }
}

pub(crate) async fn ended(identity: &ProcessIdentity) {
    match open_exactly(identity, 0) {
        Ok(None) => return,
        Ok(Some(process)) => {
            if let Ok(wait) = Wait::start(process)
                && wait.ended.await.is_ok()
            {
                return;
            }
        }
        Err(_) => {}
    }
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while identity.is_alive() {
        looks.tick().await;
    }
}

/// A thread that waits for the end of a process, and ends itself when nobody wants to know any more.
struct Wait {
    ended: tokio::sync::oneshot::Receiver<()>,
    _forget: SetOnDrop,
}

impl Wait {
    #[expect(unsafe_code, reason = "Win32 calls")]
    fn start(process: OwnedHandle) -> io::Result<Self> {
        // SAFETY: neither attributes nor a name are passed.
        let event = unsafe { CreateEventW(std::ptr::null(), 1, 0, std::ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is ours and nobody else closes it.
        let event = unsafe { OwnedHandle::from_raw_handle(event) };
        let forget = SetOnDrop(event.try_clone()?);
        let (sender, ended) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("process-end".to_owned())
            .spawn(move || {
                let handles = [process.as_raw_handle(), event.as_raw_handle()];
                // SAFETY: both handles are owned by this thread and open until the call returns.
                let which = unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, INFINITE) };
                if which == 0 {
                    // Fails when nobody wants to know any more.
                    let _ = sender.send(());
                }
            })?;
        Ok(Self {
            ended,
            _forget: forget,
        })
    }
}

struct SetOnDrop(OwnedHandle);

impl Drop for SetOnDrop {
    #[expect(unsafe_code, reason = "Win32 call")]
    fn drop(&mut self) {
        // SAFETY: the handle is open; no pointer is passed.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}
