//! Parquet's hybrid of runs and bit-packed codes, walked without unpacking what is not asked for.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};

fn damaged(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}

/// A number, or a code, as a place in memory.
pub fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Codes that stand together.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// One code, over and over.
    Repeated(u32),
    /// Where the packed bits begin.
    Packed(usize),
}

/// How many codes of eight bits there are.
pub const NARROW: usize = 1 << 8;

/// Codes in Parquet's hybrid of runs and bit-packing
/// (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>).
pub struct Codes {
    pub bytes: Bytes,
    /// Bits of one code, 32 at most.
    width: usize,
    /// Where the header of the next run stands.
    next: usize,
    pub run: Run,
    /// The places of the run's codes.
    pub from: usize,
    pub to: usize,
}

impl Codes {
    /// Levels of `most` at most, whose width stands nowhere.
    pub fn of_levels(bytes: Bytes, most: u32) -> Self {
        let width = index(u32::BITS - most.leading_zeros());
        Self { bytes, width, next: 0, run: Run::Repeated(0), from: 0, to: 0 }
    }

    /// Codes after a byte that gives their width.
    pub fn new(bytes: Bytes) -> Result<Self> {
        let width = bytes.first().copied().map_or(0, usize::from);
        if width > 32 {
            return Err(damaged(format!("the codes of a page are {width} bits wide")));
        }
        Ok(Self { bytes, width, next: 1, run: Run::Repeated(0), from: 0, to: 0 })
    }

    /// Truth values after four bytes that give their length.
    pub fn of_bits(bytes: Bytes) -> Result<Self> {
        let length = bytes.first_chunk().map(|length| index(u32::from_le_bytes(*length)));
        let end = length.and_then(|length| length.checked_add(4)).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| damaged("the truth values of a page end early"))?;
        Ok(Self::of_levels(bytes.slice(4..end), 1))
    }

    /// Whether there are so many codes, all of whose bits are there. Headers of runs alone are looked at.
    pub fn has(&self, count: usize) -> bool {
        let (bytes, run) = (self.bytes.clone(), self.run);
        let mut walk = Self { bytes, run, ..*self };
        while walk.to < count {
            if walk.advance().is_none() {
                return false;
            }
        }
        match walk.run {
            Run::Packed(at) if count > walk.from => {
                let bits = (count - walk.from).saturating_mul(walk.width);
                at.saturating_add(bits.div_ceil(8)) <= walk.bytes.len()
            }
            _ => true,
        }
    }

    /// Moves to the next run; `None` at the end.
    pub fn advance(&mut self) -> Option<()> {
        let mut header = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.next)?;
            self.next += 1;
            header |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        // Some writers fill pages up with zeros: no run is that short.
        if header == 0 {
            return None;
        }
        let count = usize::try_from(header >> 1).ok()?;
        self.from = self.to;
        if header & 1 == 1 {
            self.run = Run::Packed(self.next);
            self.next = self.next.checked_add(count.checked_mul(self.width)?)?;
            self.to = self.from.checked_add(count.checked_mul(8)?)?;
        } else {
            let bytes = self.width.div_ceil(8);
            let value = self.bytes.get(self.next..self.next.checked_add(bytes)?)?;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            self.run = Run::Repeated(value);
            self.next += bytes;
            self.to = self.from.checked_add(count)?;
        }
        Some(())
    }

    /// The code at a place; places do not descend from call to call.
    #[inline]
    pub fn at(&mut self, place: usize) -> Option<usize> {
        while place >= self.to {
            self.advance()?;
        }
        match self.run {
            Run::Repeated(value) => Some(index(value)),
            Run::Packed(at) => self.unpack(at, place - self.from),
        }
    }

    #[inline]
    fn unpack(&self, at: usize, number: usize) -> Option<usize> {
        let bit = number * self.width;
        let rest = self.bytes.get(at + bit / 8..)?;
        let word = match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None if rest.len() * 8 >= bit % 8 + self.width => {
                rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
            }
            None => return None,
        };
        let mask = (1u64 << self.width) - 1;
        usize::try_from(word >> (bit % 8) & mask).ok()
    }

    /// Which of the first `count` packed codes at `at` are `code`, a bit each.
    pub fn which_are(&self, code: u32, at: usize, count: usize) -> Option<Vec<u8>> {
        let code = index(code);
        let eight = |first: usize| {
            (first..count.min(first + 8)).try_fold(0u8, |bits, number| {
                Some(bits | u8::from(self.unpack(at, number)? == code) << (number - first))
            })
        };
        (0..count).step_by(8).map(eight).collect()
    }

    /// Calls `take` with the place and code of those of the next `count` codes that are `sought`, and
    /// of all that do not fit there.
    pub fn search(
        &mut self,
        count: usize,
        sought: &[bool; NARROW],
        mut take: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let short = || damaged("a page ends early");
        let is_sought = |code: usize| sought.get(code).is_none_or(|sought| *sought);
        let mut place = 0;
        while place < count {
            self.advance().ok_or_else(short)?;
            let to = self.to.min(count);
            match self.run {
                Run::Repeated(value) => {
                    if is_sought(index(value)) {
                        for place in place..to {
                            take(place, index(value))?;
                        }
                    }
                }
                Run::Packed(at) => {
                    for number in (0..to - place).step_by(8) {
                        let here = (to - place - number).min(8);
                        let Some(eight) = self.eight(at, number) else {
                            for number in number..number + here {
                                let code = self.unpack(at, number).ok_or_else(short)?;
                                if is_sought(code) {
                                    take(place + number, code)?;
                                }
                            }
                            continue;
                        };
                        let mut which = eight.which(sought) & u8::MAX >> (8 - here);
                        // As often as codes are sought, whichever they are: that is guessed wrong once, not eight times.
                        while which != 0 {
                            let i = which.trailing_zeros();
                            take(place + number + index(i), usize::from(eight.code(i)))?;
                            which &= which - 1;
                        }
                    }
                }
            }
            place = to;
        }
        Ok(())
    }

    /// The eight packed codes from `number` on, where one word holds them.
    #[inline]
    fn eight(&self, at: usize, number: usize) -> Option<Eight> {
        let width = u32::try_from(self.width).ok().filter(|width| *width <= 8)?;
        let word = self.bytes.get(at + number / 8 * self.width..)?.first_chunk()?;
        Some(Eight { word: u64::from_le_bytes(*word), width })
    }
}

/// Eight packed codes of eight bits and less.
struct Eight {
    word: u64,
    width: u32,
}

impl Eight {
    #[inline]
    fn code(&self, i: u32) -> u8 {
        let mask = (1u64 << self.width) - 1;
        (self.word >> (i * self.width) & mask) as u8
    }

    /// Which of them are sought, a bit each.
    #[inline]
    fn which(&self, sought: &[bool; NARROW]) -> u8 {
        let is_sought =
            |i| sought.get(usize::from(self.code(i))).is_none_or(|is_sought| *is_sought);
        (0..8).fold(0, |which, i| which | u8::from(is_sought(i)) << i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_of_every_width_are_found(
            width in 0u32..=32, seed: u64, repeated in 0usize..20, packed in 0usize..60,
            sought in proptest::collection::vec(any::<bool>(), NARROW), part in 0usize..90,
        ) {
            let mask = u32::MAX.checked_shr(32 - width).unwrap_or(0);
            // Few of many bits: those stand for what is sought, too.
            let code = |at: usize| crate::key::mix(seed ^ at as u64) as u32 & mask >> (at % 3 * 8).min(31);
            let codes: Vec<u32> =
                std::iter::repeat_n(code(0), repeated).chain((1..=packed).map(code)).collect();
            let mut bytes = vec![width as u8];
            if repeated > 0 {
                bytes.push((repeated as u8) << 1);
                bytes.extend(&code(0).to_le_bytes()[..width.div_ceil(8) as usize]);
            }
            if packed > 0 {
                bytes.push((packed.div_ceil(8) as u8) << 1 | 1);
                // To the last bit that is needed, and no further.
                let mut bits = vec![0u8; (packed * width as usize).div_ceil(8)];
                for (at, code) in codes[repeated..].iter().enumerate() {
                    for bit in (0..width as usize).filter(|bit| code >> bit & 1 == 1) {
                        let place = at * width as usize + bit;
                        bits[place / 8] |= 1 << (place % 8);
                    }
                }
                bytes.extend(bits);
            }
            let sought: [bool; NARROW] = sought.try_into().unwrap();
            let count = part.min(codes.len());
            let mut found = Vec::new();
            let mut all = Codes::new(bytes.clone().into()).unwrap();
            all.search(count, &sought, |place, code| {
                found.push((place, code));
                Ok(())
            }).unwrap();
            let is_sought = |code: usize| sought.get(code).is_none_or(|is_sought| *is_sought);
            let wanted = codes[..count].iter().map(|code| index(*code)).enumerate();
            let wanted: Vec<_> = wanted.filter(|(_, code)| is_sought(*code)).collect();
            prop_assert_eq!(&found, &wanted);
            let mut one_by_one = Codes::new(bytes.clone().into()).unwrap();
            for (place, code) in codes.iter().enumerate() {
                prop_assert_eq!(one_by_one.at(place), Some(index(*code)));
            }
            // Of a page that ends early.
            if packed > 0 && width > 0 {
                bytes.pop();
                let mut short = Codes::new(bytes.into()).unwrap();
                prop_assert!(short.search(codes.len(), &[true; NARROW], |_, _| Ok(())).is_err());
            }
        }
    }

    /// Codes of one bit: `runs` after their length.
    fn bits(runs: &[u8]) -> Result<Codes> {
        let length = u32::try_from(runs.len()).unwrap().to_le_bytes();
        Codes::of_bits([&length, runs].concat().into())
    }

    #[test]
    fn codes_are_counted_by_the_headers_of_their_runs() {
        // Three times 1, then eight packed ones.
        let mut codes = bits(&[6, 1, 3, 0b0101_0110]).unwrap();
        assert!(codes.has(11) && !codes.has(12));
        let read: Vec<usize> = (0..11).map(|place| codes.at(place).unwrap()).collect();
        assert_eq!(read, [1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 0]);
        // Packed ones of which some are not there; writers may leave out those that no row has.
        let codes = bits(&[5, 0xff]).unwrap();
        assert!(codes.has(8) && !codes.has(9));
        assert!(bits(&[]).unwrap().has(0) && !bits(&[]).unwrap().has(1));
    }

    #[test]
    fn a_run_without_a_code_ends_them() {
        let mut codes = bits(&[6, 1, 0, 1, 6, 1]).unwrap();
        assert!(codes.has(3) && !codes.has(4));
        assert_eq!((codes.at(2), codes.at(3)), (Some(1), None));
    }

    #[test]
    fn truth_values_that_end_before_their_length_are_damaged() {
        for bytes in [&[][..], &[1, 0, 0], &[2, 0, 0, 0, 6]] {
            assert!(Codes::of_bits(Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
