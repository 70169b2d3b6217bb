//! The end of the user's session on Windows, which is told to windows alone: a detached process has no console, and a
//! program that has loaded user32.dll gets no event of one for a log-off or shutdown (`HandlerRoutine` in Microsoft's
//! reference). So there is a window that nobody sees, with a thread of its own. One for messages only would not do:
//! it gets nothing that is sent to all.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use windows_sys::Win32::Foundation::{ERROR_CLASS_ALREADY_EXISTS, HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Shutdown::{ShutdownBlockReasonCreate, ShutdownBlockReasonDestroy};
use windows_sys::Win32::System::Threading::SetProcessShutdownParameters;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DefWindowProcW, DispatchMessageW, GetMessageW, MSG, PostMessageW,
    PostQuitMessage, RegisterClassW, WM_CLOSE, WM_DESTROY, WM_ENDSESSION, WM_QUERYENDSESSION,
    WNDCLASSW,
};

use super::wide;

/// The name of the window's class.
const CLASS: &str = "machine-session-end";
/// What Windows shows while it waits.
const REASON: &str = "A virtual machine is being stopped";
/// Processes with a higher level are asked first. A VM has the default, 0x280, and is to be there until it has been stopped;
/// this is the highest that is not the system's own.
const ASKED_FIRST: u32 = 0x3FF;

thread_local! {
    /// Whom this thread's window tells.
    static LISTENER: RefCell<Option<UnboundedSender<()>>> = const { RefCell::new(None) };
}

/// Hears of the end of the session.
#[derive(Debug)]
pub(crate) struct SessionEnd {
    ended: UnboundedReceiver<()>,
    /// The address that Windows knows the window by. Windows are used from other threads by messages alone.
    window: usize,
}

impl SessionEnd {
    /// Makes the window; an error where there is no desktop, as for services.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, ended) = unbounded_channel();
        let (made, window) = sync_channel(1);
        std::thread::Builder::new()
            .name("session-end".to_owned())
            .spawn(move || {
                LISTENER.set(Some(sender));
                let window = create();
                let is_there = window.is_ok();
                // Fails when nobody waits any more; then the window is closed at once, by the end of its thread.
                if made.send(window).is_ok() && is_there {
                    serve();
                }
            })?;
        let window = window.recv().map_err(io::Error::other)??;
        Ok(Self { ended, window })
    }

    /// Waits until the session ends. Windows then waits for this process, for as long as its user and its settings let it.
    pub(crate) async fn recv(&mut self) -> Option<()> {
        self.ended.recv().await
    }
}

impl Drop for SessionEnd {
    #[expect(unsafe_code, reason = "Win32 call")]
    fn drop(&mut self) {
        // SAFETY: any thread may post to any window; one that is gone, or whose thread waits for the end, ignores it.
        unsafe { PostMessageW(self.window as HWND, WM_CLOSE, 0, 0) };
    }
}

/// The window, as an address.
#[expect(unsafe_code, reason = "Win32 calls")]
fn create() -> io::Result<usize> {
    let class = wide(Path::new(CLASS));
    // SAFETY: takes no pointer but null, which means this program.
    let module = unsafe { GetModuleHandleW(std::ptr::null()) };
    let description = WNDCLASSW {
        lpfnWndProc: Some(told),
        hInstance: module,
        lpszClassName: class.as_ptr(),
        ..WNDCLASSW::default()
    };
    // SAFETY: the description and the name in it, which ends with a NUL, live through the call; the procedure is for ever.
    if unsafe { RegisterClassW(&raw const description) } == 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error().map(i32::cast_unsigned) != Some(ERROR_CLASS_ALREADY_EXISTS) {
            return Err(error);
        }
    }
    let nothing: *mut c_void = std::ptr::null_mut();
    // SAFETY: the name ends with a NUL and lives through the call; nothing else is a pointer to something.
    let window = unsafe {
        CreateWindowExW(
            0,
            class.as_ptr(),
            class.as_ptr(),
            0,
            0,
            0,
            0,
            0,
            nothing,
            nothing,
            module,
            nothing,
        )
    };
    if window.is_null() {
        return Err(io::Error::last_os_error());
    }
    // A refusal leaves the default, and with it the order of the two to chance.
    // SAFETY: takes no pointer.
    unsafe { SetProcessShutdownParameters(ASKED_FIRST, 0) };
    Ok(window as usize)
}

/// Takes this thread's messages until the window is closed.
#[expect(unsafe_code, reason = "Win32 calls")]
fn serve() {
    let mut message = MSG::default();
    // SAFETY: the message lives through the call; null means all windows of this thread.
    while unsafe { GetMessageW(&raw mut message, std::ptr::null_mut(), 0, 0) } > 0 {
        // SAFETY: the message is what the call above wrote.
        unsafe { DispatchMessageW(&raw const message) };
    }
}

/// What the window does with a message.
#[expect(unsafe_code, reason = "Win32 calls")]
unsafe extern "system" fn told(window: HWND, message: u32, word: WPARAM, long: LPARAM) -> LRESULT {
    match message {
        WM_QUERYENDSESSION => {
            let reason = wide(Path::new(REASON));
            // SAFETY: the window is this thread's, and the text ends with a NUL and lives through the call.
            unsafe { ShutdownBlockReasonCreate(window, reason.as_ptr()) };
            // The session may end; it is asked for the time below.
            1
        }
        WM_ENDSESSION if word == 0 => {
            // Another program did not let it end.
            // SAFETY: the window is this thread's.
            unsafe { ShutdownBlockReasonDestroy(window) };
            0
        }
        WM_ENDSESSION => {
            LISTENER.with_borrow(|listener| {
                // Fails when nobody listens any more.
                listener.as_ref().map(|listener| listener.send(()))
            });
            // As soon as this returns the process may be ended; until then Windows shows the reason. The end of the orderly
            // stop is the end of the process, and of this thread.
            loop {
                std::thread::park();
            }
        }
        WM_DESTROY => {
            // SAFETY: takes no pointer.
            unsafe { PostQuitMessage(0) };
            0
        }
        // SAFETY: all four are passed on as they came.
        _ => unsafe { DefWindowProcW(window, message, word, long) },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use windows_sys::Win32::UI::WindowsAndMessaging::{IsWindow, SendMessageW};

    use super::*;

    #[tokio::test]
    #[expect(unsafe_code, reason = "Win32 calls")]
    async fn the_end_of_the_session_is_told_and_a_question_is_not_the_end() {
        let gone = SessionEnd::listen().unwrap();
        let closed = gone.window as HWND;
        // SAFETY: takes no pointer but the window's.
        assert_ne!(unsafe { IsWindow(closed) }, 0);
        drop(gone);
        let mut session = SessionEnd::listen().unwrap();
        // SAFETY: a message without pointers in it, to a window of this process.
        let send =
            |message, word| unsafe { SendMessageW(session.window as HWND, message, word, 0) };
        assert_eq!(send(WM_QUERYENDSESSION, 0), 1);
        assert_eq!(send(WM_ENDSESSION, 0), 0);
        let none = tokio::time::timeout(Duration::from_millis(50), session.ended.recv());
        assert!(none.await.is_err(), "the session goes on");
        // SAFETY: as above. It is not waited for, since it does not return.
        unsafe { PostMessageW(session.window as HWND, WM_ENDSESSION, 1, 0) };
        let told = tokio::time::timeout(Duration::from_secs(10), session.recv());
        assert_eq!(told.await, Ok(Some(())));
    }
}
