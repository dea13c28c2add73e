//! Deletion vectors: bitmaps in Puffin files.

use std::io::Cursor;

use roaring::RoaringTreemap;

use crate::snapshot::DeletesError;
use crate::snapshot::rows::Pinned;

/// What a vector begins with, after its length.
const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// Adds the rows of the vector that lies at `offset` of a Puffin file.
///
/// # Errors
/// Storage failures, and damage.
pub fn add(
    file: &Pinned,
    (offset, length): (u64, u64),
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    let end = offset.checked_add(length).filter(|end| *end <= file.pin.size);
    let end = end.ok_or_else(|| {
        file.damaged(format!(
            "it has {} bytes, and a vector at {offset} of {length}",
            file.pin.size
        ))
    })?;
    let bytes = file.bytes(offset..end)?;
    let found =
        decoded(&bytes).map_err(|e| file.damaged(format!("the vector at {offset}: {e}")))?;
    *rows |= found;
    Ok(())
}

/// Blob type `deletion-vector-v1` of the Puffin specification: length of magic and bitmap (big-endian),
/// magic, bitmap (Roaring, 64 bits, portable), CRC-32 of magic and bitmap (big-endian).
fn decoded(bytes: &[u8]) -> Result<RoaringTreemap, String> {
    let number = |at: &[u8]| at.try_into().map(u32::from_be_bytes).map_err(|_| "it is too short");
    let (length, rest) = bytes.split_at_checked(4).ok_or("it is too short")?;
    let (body, sum) = rest
        .len()
        .checked_sub(4)
        .and_then(|at| rest.split_at_checked(at))
        .ok_or("it is too short")?;
    let (told, has) = (number(length)?, body.len());
    if u64::from(told) != has as u64 {
        return Err(format!("its length is {has}, and {told} by itself"));
    }
    let bitmap = body.strip_prefix(&MAGIC).ok_or("its magic number is wrong")?;
    if crc32fast::hash(body) != number(sum)? {
        return Err("it does not match its checksum".into());
    }
    let mut cursor = Cursor::new(bitmap);
    let rows = RoaringTreemap::deserialize_from(&mut cursor).map_err(|e| e.to_string())?;
    if cursor.position() != bitmap.len() as u64 {
        return Err(format!("{} bytes follow its bitmap", bitmap.len() as u64 - cursor.position()));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(rows: &[u64]) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        let bitmap: RoaringTreemap = rows.iter().copied().collect();
        bitmap.serialize_into(&mut body).unwrap();
        let sum = crc32fast::hash(&body).to_be_bytes();
        [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body, &sum].concat()
    }

    #[test]
    fn every_byte_of_a_vector_counts() {
        let rows = [0, 3, 70_000, 5_000_000_000];
        let whole = encoded(&rows);
        assert_eq!(decoded(&whole).unwrap().iter().collect::<Vec<_>>(), rows);
        for place in 0..whole.len() {
            let mut other = whole.clone();
            other[place] ^= 0x10;
            assert!(decoded(&other).is_err(), "byte {place}");
        }
        assert!(decoded(&whole[..whole.len() - 1]).is_err());
        assert!(decoded(&[]).is_err());
    }
}
