//! How much a peer may send on a stream, and the pool that larger windows are taken from.
//!
//! Each window starts at the initial credit, which is set aside for every stream. It doubles
//! when the peer has used it up and the reader was waiting for more, and it takes the growth
//! from the pool. A window may hold as much of the pool as an eighth of what is free (the
//! dynamic threshold of shared-memory switches): few streams get their maximum, many get equal
//! shares, and newcomers always find some. Above twice that share it is halved as it drains.

use super::{INITIAL_CREDIT, MAX_WINDOW};

/// Memory for windows above their initial credit.
#[derive(Debug)]
pub(super) struct Pool {
    free: usize,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self { free: size }
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    fn share(&self) -> usize {
        self.free / 8
    }
}

/// What the peer was granted on one stream. Always `promised + held <= size`.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// May still arrive.
    promised: usize,
    /// Has arrived and its reader has not passed it on.
    held: usize,
    /// The peer has used most of it since the last growth.
    pressed: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            size: INITIAL_CREDIT,
            promised: INITIAL_CREDIT,
            held: 0,
            pressed: false,
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    #[cfg(test)]
    pub(super) fn promised(&self) -> usize {
        self.promised
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes arrived; false when they were never granted.
    #[must_use]
    pub(super) fn receive(&mut self, count: usize) -> bool {
        if count > self.promised {
            return false;
        }
        self.promised -= count;
        self.held += count;
        self.pressed |= self.promised < self.size / 4;
        true
    }

    /// Bytes are gone without a new grant: the direction ends.
    pub(super) fn discard(&mut self, count: usize) {
        self.held -= count;
    }

    /// The reader has passed bytes on: what to grant the peer now, perhaps nothing yet.
    pub(super) fn release(&mut self, count: usize, pool: &mut Pool) -> usize {
        self.held -= count;
        if self.size > INITIAL_CREDIT && self.size - INITIAL_CREDIT > 2 * pool.share() {
            self.shrink(self.size / 2, pool);
        }
        if self.held == 0 && self.pressed {
            self.pressed = false;
            let wanted = (self.size * 2).min(MAX_WINDOW);
            let growth = wanted - self.size;
            if growth <= pool.free && wanted - INITIAL_CREDIT <= pool.share() {
                pool.free -= growth;
                self.size = wanted;
            }
        }
        let available = self.size - self.held - self.promised;
        if available < self.size / 2 {
            return 0;
        }
        self.promised += available;
        available
    }

    /// The reader is gone: what comes is counted and not kept, so it needs no memory.
    pub(super) fn abandon(&mut self, pool: &mut Pool) {
        pool.free += self.size - INITIAL_CREDIT;
        self.size = INITIAL_CREDIT;
    }

    /// Nothing more will come: all but the initial credit goes back to the pool.
    pub(super) fn close(&mut self, pool: &mut Pool) {
        self.promised = 0;
        self.shrink(INITIAL_CREDIT, pool);
    }

    /// Gives back what is neither promised nor held, down to `size`.
    fn shrink(&mut self, size: usize, pool: &mut Pool) {
        let size = size.max(INITIAL_CREDIT).max(self.held + self.promised);
        if size < self.size {
            pool.free += self.size - size;
            self.size = size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The peer sends all it may and the reader takes it at once.
    fn drain(window: &mut Window, pool: &mut Pool) {
        let count = window.promised;
        assert!(window.receive(count));
        window.release(count, pool);
    }

    #[test]
    fn a_busy_window_grows_to_its_maximum_and_gives_all_back() {
        let mut pool = Pool::new(32 << 20);
        let mut window = Window::new();
        for _ in 0..10 {
            drain(&mut window, &mut pool);
        }
        assert_eq!(window.size(), MAX_WINDOW);
        assert_eq!(window.promised, MAX_WINDOW);
        window.close(&mut pool);
        assert_eq!(pool.free(), 32 << 20);
    }

    #[test]
    fn small_requests_leave_a_window_small() {
        let mut pool = Pool::new(32 << 20);
        let mut window = Window::new();
        let mut credit = INITIAL_CREDIT;
        for _ in 0..10_000 {
            assert!(window.receive(200));
            credit -= 200;
            credit += window.release(200, &mut pool);
        }
        assert_eq!(window.size(), INITIAL_CREDIT);
        assert_eq!(credit, window.promised);
    }

    #[test]
    fn many_busy_windows_share_and_leave_some_for_newcomers() {
        let mut pool = Pool::new(32 << 20);
        let mut windows: Vec<_> = (0..2000).map(|_| Window::new()).collect();
        for _ in 0..20 {
            for window in &mut windows {
                drain(window, &mut pool);
            }
        }
        assert!(pool.free() > 0);
        let total: usize = windows
            .iter()
            .map(|window| window.size - INITIAL_CREDIT)
            .sum();
        assert_eq!(total + pool.free(), 32 << 20);
        let (least, most) = windows
            .iter()
            .fold((usize::MAX, 0), |(least, most), window| {
                (least.min(window.size()), most.max(window.size()))
            });
        assert!(most <= 4 * least, "{least} {most}");
    }

    #[test]
    fn windows_shrink_when_others_come() {
        let mut pool = Pool::new(1 << 20);
        let mut first = Window::new();
        for _ in 0..10 {
            drain(&mut first, &mut pool);
        }
        let alone = first.size();
        let mut others: Vec<_> = (0..200).map(|_| Window::new()).collect();
        for _ in 0..20 {
            for window in others.iter_mut().chain([&mut first]) {
                drain(window, &mut pool);
            }
        }
        assert!(first.size() < alone, "{} {alone}", first.size());
    }

    #[test]
    fn more_than_granted_is_refused() {
        let mut window = Window::new();
        assert!(!window.receive(INITIAL_CREDIT + 1));
        assert!(window.receive(INITIAL_CREDIT));
        assert!(!window.receive(1));
    }
}
