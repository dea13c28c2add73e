//! What is asked for before it is known to be wanted.
//!
//! Until the first row group was searched for scopes, a store far away has next to nothing to send, and each of the
//! answers that wait for each other takes its time. So the other columns of the first row groups are asked for along
//! with their scopes. Once one has been searched, others have begun, and nothing is asked for unknown any more: what
//! is read in vain is bounded by the bytes that may wait for decoding.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

/// A file by its position, and one of its row groups.
pub(super) type Place = (usize, usize);

/// What was asked for, by row group; `F` is the fetch that turns out to want it.
pub(super) struct Ahead<F> {
    asked: HashMap<Place, Asked<F>>,
    is_over: bool,
}

struct Asked<F> {
    ranges: Vec<Range<u64>>,
    here: Option<Vec<Bytes>>,
    waiting: Option<F>,
}

/// What is to be done with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<F, R> {
    /// This fetch waited for it.
    Waited(F, R),
    /// Whether it is wanted will be seen.
    Kept,
    /// Nobody wants it, or it failed before anybody did: who wants it then asks again.
    Dropped,
}

impl<F> Default for Ahead<F> {
    fn default() -> Self {
        Self { asked: HashMap::new(), is_over: false }
    }
}

impl<F> Ahead<F> {
    /// Whether more may be asked for.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing more is asked for.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    pub fn ask(&mut self, place: Place, ranges: Vec<Range<u64>>) {
        self.asked.insert(place, Asked { ranges, here: None, waiting: None });
    }

    /// Whether just these bytes were asked for.
    pub fn has_asked(&self, place: Place, ranges: &[Range<u64>]) -> bool {
        self.asked.get(&place).is_some_and(|asked| asked.ranges == ranges)
    }

    /// The bytes of a fetch that were asked for; where they are not here yet, the fetch waits for them.
    pub fn want(&mut self, place: Place, fetch: F) -> Option<(F, Vec<Bytes>)> {
        let asked = self.asked.get_mut(&place)?;
        if let Some(bytes) = asked.here.take() {
            self.asked.remove(&place);
            return Some((fetch, bytes));
        }
        asked.waiting = Some(fetch);
        None
    }

    /// An answer is here, or has failed.
    pub fn answered<E>(
        &mut self,
        place: Place,
        answer: Result<Vec<Bytes>, E>,
    ) -> Answer<F, Result<Vec<Bytes>, E>> {
        let Some(mut asked) = self.asked.remove(&place) else { return Answer::Dropped };
        match (asked.waiting.take(), answer) {
            (Some(fetch), answer) => Answer::Waited(fetch, answer),
            (None, Ok(bytes)) => {
                asked.here = Some(bytes);
                self.asked.insert(place, asked);
                Answer::Kept
            }
            (None, Err(_)) => Answer::Dropped,
        }
    }

    /// A row group wants nothing that it does not wait for. Gives the bytes that are let go.
    pub fn forget(&mut self, place: Place) -> u64 {
        self.forget_where(|asked| *asked == place)
    }

    /// The same of all row groups of a file.
    pub fn forget_file(&mut self, file: usize) -> u64 {
        self.forget_where(|(of, _)| *of == file)
    }

    fn forget_where(&mut self, is_of: impl Fn(&Place) -> bool) -> u64 {
        let mut freed = 0;
        self.asked.retain(|place, asked| {
            let stays = !is_of(place) || asked.waiting.is_some();
            if !stays && asked.here.is_some() {
                freed += length(&asked.ranges);
            }
            stays
        });
        freed
    }
}

/// Bytes of ranges.
pub(super) fn length(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (3, 1);

    fn asked() -> Ahead<&'static str> {
        let mut ahead = Ahead::default();
        ahead.ask(PLACE, vec![10..14, 20..21]);
        ahead
    }

    fn bytes() -> Vec<Bytes> {
        vec![Bytes::from_static(b"abcd"), Bytes::from_static(b"e")]
    }

    #[test]
    fn what_arrived_before_it_was_wanted_is_at_hand() {
        let mut ahead = asked();
        assert!(ahead.has_asked(PLACE, &[10..14, 20..21]));
        assert!(!ahead.has_asked(PLACE, &[10..14]));
        assert_eq!(ahead.answered::<()>(PLACE, Ok(bytes())), Answer::Kept);
        assert_eq!(ahead.want(PLACE, "read"), Some(("read", bytes())));
        assert_eq!((ahead.forget(PLACE), ahead.want(PLACE, "read")), (0, None));
    }

    #[test]
    fn what_is_wanted_before_it_arrives_is_waited_for_and_not_forgotten() {
        let mut ahead = asked();
        assert_eq!(ahead.want(PLACE, "read"), None);
        assert_eq!((ahead.forget(PLACE), ahead.forget_file(3)), (0, 0));
        assert_eq!(ahead.answered::<()>(PLACE, Ok(bytes())), Answer::Waited("read", Ok(bytes())));
        let mut ahead = asked();
        assert_eq!(ahead.want(PLACE, "read"), None);
        assert_eq!(ahead.answered(PLACE, Err("down")), Answer::Waited("read", Err("down")));
    }

    #[test]
    fn what_nobody_wants_is_let_go_wherever_it_is() {
        let mut ahead = asked();
        assert_eq!(ahead.answered::<()>(PLACE, Ok(bytes())), Answer::Kept);
        assert_eq!((ahead.forget((3, 0)), ahead.forget(PLACE), ahead.forget(PLACE)), (0, 5, 0));
        let mut ahead = asked();
        // Its bytes are counted until they arrive.
        assert_eq!(ahead.forget_file(3), 0);
        assert_eq!(ahead.answered::<()>(PLACE, Ok(bytes())), Answer::Dropped);
        assert_eq!(asked().answered(PLACE, Err("down")), Answer::Dropped);
    }
}
