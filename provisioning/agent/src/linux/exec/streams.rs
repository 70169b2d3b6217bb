//! Bytes between a program's descriptors and the host's stream.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use bytes::Bytes;
use machine_protocol::exec::{HEADER, Message, STDIN_WINDOW, ToHost, WindowSize};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::termios::{LocalModes, SpecialCodeIndex, Winsize};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::say;

/// A frame of output, with its header: what goes into one frame of the link.
const FRAME: usize = 16 * 1024;

/// What a program that has ended may have left in a pipe: the most that a pipe holds.
const LEFT_BEHIND: usize = 1 << 20;

/// The agent's end of a program's terminal.
#[derive(Debug)]
pub(super) struct Terminal(OwnedFd);

impl Terminal {
    pub(super) fn new(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Gives it another size; the program's foreground group gets SIGWINCH from the kernel.
    pub(super) fn resize(&self, size: WindowSize) {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // Fails when nobody has the other end open any more.
        let _ = rustix::termios::tcsetwinsize(&self.0, size);
    }

    /// The character that ends the input, while the program reads by lines.
    fn end_of_file(&self) -> Option<u8> {
        let attributes = rustix::termios::tcgetattr(&self.0).ok()?;
        let by_lines = attributes.local_modes.contains(LocalModes::ICANON);
        by_lines.then(|| attributes.special_codes[SpecialCodeIndex::VEOF])
    }
}

/// Sends what `source` gives, until it ends, or, once the program has, until it is empty.
pub(super) async fn pump(
    source: AsyncFd<OwnedFd>,
    message: fn(Bytes) -> ToHost,
    outbox: &mpsc::Sender<Bytes>,
    mut ended: watch::Receiver<bool>,
) {
    let kind = message(Bytes::new()).kind();
    // Children of the program that live on in the background may write for ever.
    let mut left = LEFT_BEHIND;
    loop {
        let is_over = *ended.borrow();
        if !is_over {
            tokio::select! {
                biased;
                ready = source.readable() => match ready {
                    Ok(mut ready) => {
                        // What is there is read below, and if it is nothing the kernel tells of more.
                        if let Ok(frame) = read(&source, kind) {
                            match frame {
                                Some(frame) => drop(outbox.send(frame).await),
                                None => return,
                            }
                        } else {
                            ready.clear_ready();
                        }
                    }
                    Err(_) => return,
                },
                _ = ended.changed() => {}
            }
            continue;
        }
        match read(&source, kind) {
            Ok(Some(frame)) if left > 0 => {
                left = left.saturating_sub(frame.len());
                let _ = outbox.send(frame).await;
            }
            _ => return,
        }
    }
}

/// What is there now as a frame; `None` at the end, an error when there is nothing yet.
fn read(source: &AsyncFd<OwnedFd>, kind: u8) -> Result<Option<Bytes>, io::ErrorKind> {
    let mut frame = Vec::with_capacity(FRAME);
    frame.extend_from_slice(&[kind, 0, 0, 0, 0]);
    loop {
        match rustix::io::read(source.get_ref(), spare_capacity(&mut frame)) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock),
            // A terminal that nobody has open any more.
            Err(_) => return Ok(None),
        }
    }
    let length = u32::try_from(frame.len() - HEADER).unwrap_or_default();
    frame[1..HEADER].copy_from_slice(&length.to_le_bytes());
    // A small piece must not pin a large buffer while it is queued.
    Ok(Some(if frame.len() * 2 < frame.capacity() {
        Bytes::copy_from_slice(&frame)
    } else {
        Bytes::from(frame)
    }))
}

/// Where the host's input goes; dropping it is the end of the input.
pub(super) struct Input {
    queue: mpsc::UnboundedSender<Bytes>,
    granted: Rc<Cell<u32>>,
}

/// More input than was granted.
#[derive(Debug)]
pub(super) struct Excess;

impl Input {
    /// Queues some input. The queue is bounded by what was granted.
    pub(super) fn take(&self, bytes: Bytes) -> Result<(), Excess> {
        let length = u32::try_from(bytes.len()).map_err(|_| Excess)?;
        self.granted
            .set(self.granted.get().checked_sub(length).ok_or(Excess)?);
        // A program that reads no more gets nothing.
        let _ = self.queue.send(bytes);
        Ok(())
    }
}

/// The way of the input to `sink`, and the future that goes it. That ends when the input has, or the program reads no
/// more.
pub(super) fn input(
    sink: AsyncFd<OwnedFd>,
    terminal: Option<&Terminal>,
    outbox: mpsc::Sender<Bytes>,
) -> (Input, impl Future<Output = ()> + use<'_>) {
    let granted = Rc::new(Cell::new(STDIN_WINDOW));
    let (queue, bytes) = mpsc::unbounded_channel();
    let feeding = feed(sink, terminal, bytes, Rc::clone(&granted), outbox);
    (Input { queue, granted }, feeding)
}

async fn feed(
    sink: AsyncFd<OwnedFd>,
    terminal: Option<&Terminal>,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    granted: Rc<Cell<u32>>,
    outbox: mpsc::Sender<Bytes>,
) {
    let mut written = 0;
    while let Some(bytes) = queue.recv().await {
        if write(&sink, &bytes).await.is_err() {
            return say(&outbox, &ToHost::StdinClosed).await;
        }
        // It was granted once, so it fits.
        written += u32::try_from(bytes.len()).unwrap_or_default();
        if written >= STDIN_WINDOW / 2 {
            granted.set(granted.get().saturating_add(written));
            say(&outbox, &ToHost::StdinCredit(written)).await;
            written = 0;
        }
    }
    if let Some(end) = terminal.and_then(Terminal::end_of_file) {
        // The first one ends a line that was begun, the second one the input.
        let _ = write(&sink, &[end, end]).await;
    }
}

async fn write(sink: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = sink.writable().await?;
        match rustix::io::write(sink.get_ref().as_fd(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
