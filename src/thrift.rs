//! Thrift's compact protocol, as far as headers of pages and footers need it, walked field by field.
//!
//! The Parquet library parses the same bytes. It believes what a list says of its length, and takes room
//! for that many; here nothing is believed that the bytes at hand cannot hold, so that what has passed
//! here is as small as it looks.

/// Structures in lists in structures: more than Parquet has, fewer than a stack.
const DEEPEST: usize = 24;

/// A value that is no structure and no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Number(i64),
    Truth(bool),
    /// A text, or a number with a point.
    Other,
}

/// Walks a structure and hands on each value with the numbers of the fields that lead to it, outermost
/// first (elements of a list have that of the list). Gives the structure's length in bytes; `None` where the
/// bytes are no such structure, or end before it does.
pub fn walk(bytes: &[u8], mut take: impl FnMut(&[i16], Leaf)) -> Option<usize> {
    let mut walk = Walk { rest: bytes, path: Vec::new(), depth: 0, take: &mut take };
    walk.structure()?;
    Some(bytes.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
    path: Vec<i16>,
    depth: usize,
    take: &'a mut dyn FnMut(&[i16], Leaf),
}

impl Walk<'_> {
    fn structure(&mut self) -> Option<()> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                step => id.checked_add(i16::from(step))?,
            };
            self.path.push(id);
            match head & 0x0f {
                1 => (self.take)(&self.path, Leaf::Truth(true)),
                2 => (self.take)(&self.path, Leaf::Truth(false)),
                kind => self.value(kind)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8) -> Option<()> {
        let leaf = match kind {
            3 => Leaf::Number(i64::from(i8::from_le_bytes([self.byte()?]))),
            4..=6 => Leaf::Number(self.zigzag()?),
            7 => {
                self.pass(8)?;
                Leaf::Other
            }
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
                Leaf::Other
            }
            9 | 10 => return self.deeper(Self::list),
            12 => return self.deeper(Self::structure),
            // Parquet has no maps.
            _ => return None,
        };
        (self.take)(&self.path, leaf);
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        // Each element takes a byte at the least.
        if length > self.rest.len() as u64 {
            return None;
        }
        for _ in 0..length {
            match head & 0x0f {
                1 | 2 => drop(self.byte()?),
                kind => self.value(kind)?,
            }
        }
        Some(())
    }

    fn deeper(&mut self, walk: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        walk(self)?;
        self.depth -= 1;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields 1: -1, 3: true, 20: a list of two structures with field 2: 7, 21: a text.
    const WHOLE: &[u8] = &[
        0x15, 0x01, 0x21, 0x09, 0x28, 0x2c, 0x25, 0x0e, 0x00, 0x25, 0x0e, 0x00, 0x18, 0x02, b'h',
        b'i', 0x00,
    ];

    #[test]
    fn values_come_with_the_fields_that_lead_to_them() {
        let mut seen = Vec::new();
        let longer = [WHOLE, b"behind"].concat();
        let length = walk(&longer, |path, leaf| seen.push((path.to_vec(), leaf)));
        assert_eq!(length, Some(WHOLE.len()));
        let number = |n| Leaf::Number(n);
        let wanted = [
            (vec![1], number(-1)),
            (vec![3], Leaf::Truth(true)),
            (vec![20, 2], number(7)),
            (vec![20, 2], number(7)),
            (vec![21], Leaf::Other),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn what_ends_early_is_no_structure() {
        for length in 0..WHOLE.len() {
            assert_eq!(walk(&WHOLE[..length], |_, _| ()), None, "{length}");
        }
    }

    #[test]
    fn a_list_is_no_longer_than_its_bytes() {
        // Two thousand million truths; and as many lists of them.
        let many = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00];
        assert_eq!(walk(&many, |_, _| ()), None);
    }

    #[test]
    fn what_is_too_deep_is_no_structure() {
        for (levels, fits) in [(20, true), (25, false), (1_000_000, false)] {
            let bytes = [vec![0x1c; levels], vec![0; levels + 1]].concat();
            assert_eq!(walk(&bytes, |_, _| ()).is_some(), fits, "{levels}");
        }
        assert_eq!(walk(&[vec![0x19; 2], vec![0x19; 1_000_000]].concat(), |_, _| ()), None);
    }
}
