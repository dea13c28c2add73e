//! What is read of delete files is held for the data files that follow, as far as it fits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::DeletesError;

/// Bytes that may be held at once. One half is for what is held for long; the other for whoever has to read a
/// delete file anew, one at a time.
#[derive(Debug)]
pub struct Room {
    left: Mutex<u64>,
    part: u64,
    turn: Mutex<()>,
}

impl Room {
    pub fn new(bytes: u64) -> Self {
        Self { left: Mutex::new(bytes / 2), part: bytes / 2, turn: Mutex::new(()) }
    }

    /// A part to hold until the guard is dropped, in bytes.
    pub fn part(&self) -> (u64, MutexGuard<'_, ()>) {
        (self.part, lock(&self.turn))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room that something in the making takes; given back where it is not held in the end.
pub struct Share<'a> {
    room: &'a Room,
    taken: u64,
}

impl Share<'_> {
    /// Takes more; `false` where there is no more.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let mut left = lock(&self.room.left);
        let Some(less) = left.checked_sub(bytes) else { return false };
        *left = less;
        self.taken += bytes;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *lock(&self.room.left) += self.taken;
    }
}

/// What is read once for all data files, if there is room to hold it.
#[derive(Debug)]
pub struct Once<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
enum State<T> {
    Unread,
    Held(Arc<T>),
    TooLarge,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State::Unread) }
    }
}

impl<T> Once<T> {
    /// What `read` gives; `None` where it said, with `None`, that there is no room. Others wait while one reads.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn get(
        &self,
        room: &Room,
        read: impl FnOnce(&mut Share<'_>) -> Result<Option<T>, DeletesError>,
    ) -> Result<Option<Arc<T>>, DeletesError> {
        let mut state = lock(&self.state);
        match &*state {
            State::Held(held) => return Ok(Some(held.clone())),
            State::TooLarge => return Ok(None),
            State::Unread => {}
        }
        let mut share = Share { room, taken: 0 };
        let Some(read) = read(&mut share)? else {
            *state = State::TooLarge;
            return Ok(None);
        };
        // It is held as long as the snapshot is.
        std::mem::forget(share);
        let held = Arc::new(read);
        *state = State::Held(held.clone());
        Ok(Some(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_read_once_and_what_does_not_takes_no_room() {
        let room = Room::new(20);
        let (large, small) = (Once::default(), Once::default());
        let none = large.get(&room, |share| Ok((share.grow(8) && share.grow(3)).then_some(1)));
        assert_eq!(none.unwrap(), None);
        let mut reads = 0;
        for _ in 0..2 {
            let held = small.get(&room, |share| {
                reads += 1;
                Ok(share.grow(10).then_some(2))
            });
            assert_eq!(held.unwrap().as_deref(), Some(&2));
        }
        assert_eq!(reads, 1);
        // What was too large once is not tried again; and there is no room any more.
        assert_eq!(large.get(&room, |_| Ok(Some(3))).unwrap(), None);
        assert_eq!(
            Once::default().get(&room, |share| Ok(share.grow(1).then_some(4))).unwrap(),
            None
        );
    }

    #[test]
    fn a_failure_is_no_answer() {
        let (room, once) = (Room::new(20), Once::<u8>::default());
        let failed = once.get(&room, |share| {
            assert!(share.grow(10));
            Err(DeletesError::Damaged("x".into()))
        });
        assert!(failed.is_err());
        assert_eq!(
            once.get(&room, |share| Ok(share.grow(10).then_some(1))).unwrap().as_deref(),
            Some(&1)
        );
    }
}
