//! Avro files whose bytes follow from what they hold. The library's writer draws the marker between blocks at
//! random and writes the header in no order: <https://avro.apache.org/docs/1.12.0/specification/>

/// What stands between blocks in place of 16 bytes drawn at random.
const MARKER: &[u8; 16] = b"afterscope table";

/// The same file with its header in order and [`MARKER`] between its blocks, as many bytes; `None` where it
/// is none.
pub fn settled(file: &[u8]) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(b"Obj\x01")?;
    let mut entries = Vec::new();
    let from = rest;
    let count = usize::try_from(long(&mut rest)?).ok()?;
    let head = taken(from, rest)?;
    for _ in 0..count {
        let (from, key) = (rest, bytes(&mut rest)?);
        bytes(&mut rest)?;
        entries.push((key, taken(from, rest)?));
    }
    entries.sort_unstable();
    rest = rest.strip_prefix(b"\0")?.get(MARKER.len()..)?;
    let mut out = [b"Obj\x01", head].concat();
    entries.iter().for_each(|(_, entry)| out.extend_from_slice(entry));
    out.push(0);
    out.extend_from_slice(MARKER);
    while !rest.is_empty() {
        let from = rest;
        long(&mut rest)?;
        bytes(&mut rest)?;
        out.extend_from_slice(taken(from, rest)?);
        rest = rest.get(MARKER.len()..)?;
        out.extend_from_slice(MARKER);
    }
    Some(out)
}

/// What was read of `from` when `rest` is left.
fn taken<'a>(from: &'a [u8], rest: &[u8]) -> Option<&'a [u8]> {
    from.get(..from.len().checked_sub(rest.len())?)
}

/// A number in a zigzag of seven bits each.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(number >> 1).ok().map(|half| half ^ -i64::from(number & 1 == 1));
        }
    }
    None
}

/// A length, and as many bytes.
fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (found, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(found)
}

#[cfg(test)]
mod tests {
    use apache_avro::{Reader, Schema, Writer};

    use super::*;

    fn written(schema: &Schema) -> Vec<u8> {
        let mut writer = Writer::new(schema, Vec::new());
        for (key, value) in [("b", "2"), ("a", "1"), ("c", "3")] {
            writer.add_user_metadata(key.into(), value).unwrap();
        }
        for block in 0..3 {
            for number in 0..100i64 {
                writer.append(block * 1000 - number).unwrap();
            }
            writer.flush().unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn two_files_of_the_same_values_are_the_same_bytes_and_hold_them() {
        let schema = Schema::parse_str("\"long\"").unwrap();
        let (one, other) = (written(&schema), written(&schema));
        assert!(one != other, "the library's markers are drawn at random");
        let settled_one = settled(&one).unwrap();
        assert_eq!(settled_one.len(), one.len());
        assert!(settled_one == settled(&other).unwrap());
        let values = |file: &[u8]| -> Vec<apache_avro::types::Value> {
            Reader::new(file).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(values(&settled_one), values(&one));
        assert_eq!(Reader::new(settled_one.as_slice()).unwrap().user_metadata()["b"], b"2");
        assert!(settled(&one[..one.len() - 1]).is_none());
    }
}
