//! Cells and groups as numbers of few bytes: most of them are small, and there are millions.
//!
//! A count takes seven bits of each byte, the lowest first, and its last byte is the one below 128 (LEB128, as in DWARF
//! and WebAssembly). A number with a sign is folded first, so that small ones are small counts (0, -1, 1, -2, ...). Days
//! ascend; each stands as what lies between it and the one before.

use crate::exposure::cells::{CellKey, Grain, Window, WindowSet};
use crate::exposure::counts::{CellCounts, Misfit, WindowCounts};
use crate::exposure::listed::KeptGroup;
use crate::exposure::totals::Day;
use crate::moment::Moment;

/// Numbers on their way into a file.
#[derive(Debug, Default)]
pub struct NumbersOut(Vec<u8>);

impl NumbersOut {
    /// With room for so many bytes: memory that is not touched costs nothing, and to grow copies all over and over.
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    #[inline]
    pub fn count(&mut self, mut count: u64) {
        if count < 0x80 {
            self.0.push(count as u8);
            return;
        }
        let mut bytes = [0; 10];
        let mut length = 0;
        for byte in &mut bytes {
            length += 1;
            *byte = count as u8 | 0x80;
            count >>= 7;
            if count == 0 {
                *byte &= 0x7f;
                break;
            }
        }
        self.0.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }

    fn wide_count(&mut self, mut count: u128) {
        while count >= 0x80 {
            // The lowest seven bits, and that more follow.
            self.0.push(count as u8 | 0x80);
            count >>= 7;
        }
        self.0.push(count as u8);
    }

    fn sum(&mut self, sum: i64) {
        self.count((sum << 1 ^ sum >> 63) as u64);
    }

    fn wide_sum(&mut self, sum: i128) {
        self.wide_count((sum << 1 ^ sum >> 127) as u128);
    }

    /// Bytes as they are, of which the reader knows how many there are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes, and before them how many.
    pub fn text(&mut self, text: &[u8]) {
        self.count(text.len() as u64);
        self.bytes(text);
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.count(u64::from(text.is_some()));
        if let Some(text) = text {
            self.text(text.as_bytes());
        }
    }

    fn moment(&mut self, at: Moment) {
        self.sum(at.micros);
        self.count(u64::from(at.nanos));
    }

    pub fn group(&mut self, group: &KeptGroup) {
        let KeptGroup { key: (hi, lo), id, space, apps, subjects, requests, first, last } = group;
        self.bytes(&hi.to_le_bytes());
        self.bytes(&lo.to_le_bytes());
        self.text(id);
        self.count(u64::from(*space));
        self.count(*apps);
        self.count(*subjects);
        self.sum(*requests);
        self.bytes(&first.to_le_bytes());
        self.sum(last.wrapping_sub(*first));
    }

    pub fn cell(&mut self, key: &CellKey, counts: &CellCounts) {
        let grain = Grain::ALL.iter().position(|grain| *grain == key.grain).unwrap_or_default();
        self.count(grain as u64);
        for text in [&key.scope, &key.app, &key.developer] {
            self.optional_text(text.as_deref());
        }
        self.count(u64::from(key.attested_at.is_some()));
        key.attested_at.into_iter().for_each(|at| self.moment(at));
        self.count(counts.rows);
        for window in &counts.windows {
            let is_empty = *window == WindowCounts::default();
            self.count(u64::from(!is_empty));
            if !is_empty {
                self.window(*window);
            }
        }
        self.count(counts.days.len() as u64);
        let mut before = 0;
        for Day { day, requests, subjects, new } in &counts.days {
            self.sum(day.wrapping_sub(before));
            self.sum(*requests);
            self.count(*subjects);
            self.count(*new);
            before = *day;
        }
        self.count(counts.events.len() as u64);
        for (set, events) in &counts.events {
            self.count(u64::from(*set));
            self.count(events.len() as u64);
            let mut before = 0;
            for (day, events) in events {
                self.sum(day.wrapping_sub(before));
                self.count(*events);
                before = *day;
            }
        }
    }

    fn window(&mut self, mut window: WindowCounts) {
        window.counts().into_iter().for_each(|count| self.count(*count));
        window.weights().into_iter().for_each(|sum| self.sum(*sum));
        self.wide_sum(window.bytes);
        self.wide_sum(window.records);
        self.moment(window.first);
        self.moment(window.last);
    }
}

/// Numbers of a file, one after another. Errors only where it does not hold what is asked for.
pub struct NumbersIn<'a>(&'a [u8]);

impl<'a> NumbersIn<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    pub fn count(&mut self) -> Result<u64, Misfit> {
        let mut count = 0;
        // As many bytes as cannot pass 64 bits.
        for (byte, at) in self.0.iter().zip(0..9) {
            count |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(count);
            }
        }
        u64::try_from(self.wide_count()?).map_err(|_| Misfit)
    }

    fn wide_count(&mut self) -> Result<u128, Misfit> {
        let mut count = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Misfit)?;
            self.0 = rest;
            count |= u128::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(count);
            }
        }
        Err(Misfit)
    }

    #[inline]
    fn sum(&mut self) -> Result<i64, Misfit> {
        let folded = self.count()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    fn wide_sum(&mut self) -> Result<i128, Misfit> {
        let folded = self.wide_count()?;
        Ok((folded >> 1) as i128 ^ -((folded & 1) as i128))
    }

    fn flag(&mut self) -> Result<bool, Misfit> {
        Ok(self.count()? == 1)
    }

    /// How many follow, each of which takes a byte at least.
    fn length(&mut self) -> Result<usize, Misfit> {
        let length = usize::try_from(self.count()?).map_err(|_| Misfit)?;
        if length > self.0.len() { Err(Misfit) } else { Ok(length) }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Misfit> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Misfit)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn text(&mut self) -> Result<&'a [u8], Misfit> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Misfit)?;
        self.0 = rest;
        Ok(text)
    }

    fn optional_text(&mut self) -> Result<Option<String>, Misfit> {
        if !self.flag()? {
            return Ok(None);
        }
        let text = std::str::from_utf8(self.text()?).map_err(|_| Misfit)?;
        Ok(Some(text.to_string()))
    }

    fn moment(&mut self) -> Result<Moment, Misfit> {
        let (micros, nanos) = (self.sum()?, self.count()?);
        Ok(Moment { micros, nanos: u16::try_from(nanos).map_err(|_| Misfit)? })
    }

    pub fn group(&mut self) -> Result<KeptGroup, Misfit> {
        let key = (u64::from_le_bytes(self.bytes()?), u64::from_le_bytes(self.bytes()?));
        let id = self.text()?.to_vec();
        let space = u32::try_from(self.count()?).map_err(|_| Misfit)?;
        let (apps, subjects, requests) = (self.count()?, self.count()?, self.sum()?);
        let first = i64::from_le_bytes(self.bytes()?);
        let last = first.wrapping_add(self.sum()?);
        Ok(KeptGroup { key, id, space, apps, subjects, requests, first, last })
    }

    pub fn cell(&mut self) -> Result<(CellKey, CellCounts), Misfit> {
        let grain = usize::try_from(self.count()?).ok().and_then(|at| Grain::ALL.get(at).copied());
        let key = CellKey {
            grain: grain.ok_or(Misfit)?,
            scope: self.optional_text()?,
            app: self.optional_text()?,
            developer: self.optional_text()?,
            attested_at: if self.flag()? { Some(self.moment()?) } else { None },
        };
        let mut counts = CellCounts { rows: self.count()?, ..CellCounts::default() };
        for window in &mut counts.windows {
            if self.flag()? {
                *window = self.window()?;
            }
        }
        let days = self.length()?;
        counts.days.reserve_exact(days);
        let mut day = 0i64;
        for _ in 0..days {
            day = day.wrapping_add(self.sum()?);
            let (requests, subjects, new) = (self.sum()?, self.count()?, self.count()?);
            counts.days.push(Day { day, requests, subjects, new });
        }
        for _ in 0..self.length()? {
            let set = WindowSet::try_from(self.count()?).ok();
            let set = set.filter(|set| *set < 1 << Window::COUNT).ok_or(Misfit)?;
            let days = self.length()?;
            let mut events = Vec::with_capacity(days);
            let mut day = 0i64;
            for _ in 0..days {
                day = day.wrapping_add(self.sum()?);
                events.push((day, self.count()?));
            }
            counts.events.insert(set, events);
        }
        Ok((key, counts))
    }

    fn window(&mut self) -> Result<WindowCounts, Misfit> {
        let mut window = WindowCounts::default();
        for count in window.counts() {
            *count = self.count()?;
        }
        for sum in window.weights() {
            *sum = self.sum()?;
        }
        (window.bytes, window.records) = (self.wide_sum()?, self.wide_sum()?);
        (window.first, window.last) = (self.moment()?, self.moment()?);
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sums() -> impl Strategy<Value = i64> {
        prop_oneof![-3i64..200, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
    }

    fn counts() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..300, any::<u64>(), Just(u64::MAX)]
    }

    fn moments() -> impl Strategy<Value = Moment> {
        let any = (sums(), any::<u16>()).prop_map(|(micros, nanos)| Moment { micros, nanos });
        prop_oneof![any, Just(Moment::MIN), Just(Moment::MAX)]
    }

    fn windows() -> BoxedStrategy<WindowCounts> {
        let wide = || prop_oneof![any::<i128>(), Just(i128::MIN), Just(i128::MAX), Just(0)];
        let numbers = (
            proptest::array::uniform8(counts()),
            proptest::array::uniform4(sums()),
            wide(),
            wide(),
            moments(),
            moments(),
        );
        let window = numbers.prop_map(|(counts, weights, bytes, records, first, last)| {
            let mut window =
                WindowCounts { bytes, records, first, last, ..WindowCounts::default() };
            window.counts().into_iter().zip(counts).for_each(|(to, count)| *to = count);
            window.weights().into_iter().zip(weights).for_each(|(to, sum)| *to = sum);
            window
        });
        prop_oneof![Just(WindowCounts::default()), window].boxed()
    }

    fn cells() -> BoxedStrategy<(CellKey, CellCounts)> {
        let text = || proptest::option::of("[a-zé]{0,3}");
        let grain = proptest::sample::select(Grain::ALL.to_vec());
        let key = (grain, text(), text(), text(), proptest::option::of(moments()));
        let key = key.prop_map(|(grain, scope, app, developer, attested_at)| CellKey {
            grain,
            scope,
            app,
            developer,
            attested_at,
        });
        let days = proptest::collection::btree_map(sums(), (sums(), counts(), counts()), 0..6);
        let events = proptest::collection::btree_map(sums(), counts(), 0..6);
        let events =
            proptest::collection::btree_map(0..(1 as WindowSet) << Window::COUNT, events, 0..4);
        let windows = proptest::collection::vec(windows(), Window::COUNT);
        let counts = (counts(), windows, days, events);
        let counts = counts.prop_map(|(rows, windows, days, events)| {
            let day = |(day, (requests, subjects, new))| Day { day, requests, subjects, new };
            let events: BTreeMap<_, _> =
                events.into_iter().map(|(set, days)| (set, days.into_iter().collect())).collect();
            let days = days.into_iter().map(day).collect();
            let windows = windows.try_into().unwrap();
            CellCounts { rows, windows, days, events, ..CellCounts::default() }
        });
        (key, counts).boxed()
    }

    fn groups() -> impl Strategy<Value = KeptGroup> {
        let id = proptest::collection::vec(any::<u8>(), 0..5);
        let numbers = (counts(), counts(), sums(), sums(), sums());
        ((any::<(u64, u64)>(), id, any::<u32>()), numbers).prop_map(
            |((key, id, space), numbers)| {
                let (apps, subjects, requests, first, last) = numbers;
                KeptGroup { key, id, space, apps, subjects, requests, first, last }
            },
        )
    }

    proptest! {
        #[test]
        fn cells_and_groups_come_back(
            cells in proptest::collection::vec(cells(), 0..4),
            groups in proptest::collection::vec(groups(), 0..4),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut out = NumbersOut::default();
            cells.iter().for_each(|(key, counts)| out.cell(key, counts));
            groups.iter().for_each(|group| out.group(group));
            let bytes = out.finish();
            let mut rest = NumbersIn::new(&bytes);
            for cell in &cells {
                prop_assert_eq!(&rest.cell().unwrap(), cell);
            }
            for group in &groups {
                prop_assert_eq!(&rest.group().unwrap(), group);
            }
            prop_assert!(rest.0.is_empty());

            // What ends early is noticed, whatever is left of it.
            if !bytes.is_empty() {
                let mut rest = NumbersIn::new(&bytes[..cut.index(bytes.len())]);
                let whole = cells.iter().all(|_| rest.cell().is_ok())
                    && groups.iter().all(|_| rest.group().is_ok());
                prop_assert!(!whole);
            }
        }
    }

    #[test]
    fn counts_of_every_length_come_back_and_none_that_is_larger() {
        for bits in (0..64).step_by(7) {
            for count in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits] {
                let (mut out, mut wide) = (NumbersOut::default(), NumbersOut::default());
                out.count(count);
                wide.wide_count(count.into());
                assert_eq!(out.0, wide.0);
                assert_eq!(NumbersIn::new(&out.0).count(), Ok(count));
                assert_eq!(NumbersIn::new(&out.0[1..]).count().is_ok(), out.0.len() > 1);
                assert!(NumbersIn::new(&out.0[..out.0.len() - 1]).count().is_err());
            }
        }
        // A bit more than 64.
        let larger = [&[0xff; 9][..], &[2]].concat();
        assert_eq!(NumbersIn::new(&larger).count(), Err(Misfit));
    }

    #[test]
    fn small_numbers_take_one_byte() {
        let mut out = NumbersOut::default();
        out.count(127);
        out.sum(-64);
        out.sum(63);
        assert_eq!(out.0, [127, 127, 126]);
        out.count(128);
        assert_eq!(out.0[3..], [0x80, 1]);
    }
}
