//! Batches as PostgreSQL's binary COPY format has them: every value to the last bit.

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use bytes::{BufMut, Bytes, BytesMut};

/// From 1970-01-01 to 2000-01-01, where PostgreSQL's times begin.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What PostgreSQL's times (up to the year 294276) and dates (5874897) reach, since that epoch.
const LEAST_MICROS: i64 = -211_813_488_000_000_000;
const END_MICROS: i64 = 9_223_371_331_200_000_000;
const LEAST_DAY: i32 = -2_451_545;
const END_DAY: i32 = 2_145_031_949;

/// The character that no text of PostgreSQL holds, and what stands for it, as in CSV.
const NUL: &str = "\0";
const NUL_SHOWN: &str = "[U+0000]";

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const NULL: i32 = -1;

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 16;

/// Rows on their way.
pub struct Rows {
    out: BytesMut,
    /// The first two columns of every row.
    first: Bytes,
    pub rows: u64,
    /// NUL characters that were written out.
    pub nuls: u64,
}

/// A column of a batch.
enum Values<'a> {
    Texts(&'a StringArray),
    Ints(&'a Int64Array),
    Floats(&'a Float64Array),
    Bools(&'a BooleanArray),
    Dates(&'a Date32Array),
    Times(&'a TimestampMicrosecondArray),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, String> {
        let any = array.as_any();
        Ok(if let Some(values) = any.downcast_ref() {
            Self::Texts(values)
        } else if let Some(values) = any.downcast_ref() {
            Self::Ints(values)
        } else if let Some(values) = any.downcast_ref() {
            Self::Floats(values)
        } else if let Some(values) = any.downcast_ref() {
            Self::Bools(values)
        } else if let Some(values) = any.downcast_ref() {
            Self::Dates(values)
        } else if let Some(values) = any.downcast_ref() {
            Self::Times(values)
        } else {
            return Err(format!("no table holds {}", array.data_type()));
        })
    }
}

impl Rows {
    /// Rows of the run, whose `as_of` is in microseconds since 1970.
    ///
    /// # Errors
    /// An `as_of` that no database holds.
    pub fn new(run_id: &str, as_of: i64) -> Result<Self, String> {
        let mut first = BytesMut::new();
        field(&mut first, run_id.as_bytes())?;
        field(&mut first, &time(as_of)?.to_be_bytes())?;
        let mut out = BytesMut::with_capacity(2 * CHUNK);
        out.put_slice(HEADER);
        Ok(Self { out, first: first.freeze(), rows: 0, nuls: 0 })
    }

    /// Appends a batch; gives what is to be sent of it so far, a chunk at a time.
    ///
    /// # Errors
    /// A value that no database holds, with its column.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>, String> {
        let columns = batch.columns().iter().map(Values::of).collect::<Result<Vec<_>, _>>()?;
        let count = i16::try_from(columns.len() + 2).map_err(|e| e.to_string())?;
        let mut chunks = Vec::new();
        for row in 0..batch.num_rows() {
            self.out.put_i16(count);
            self.out.put_slice(&self.first);
            for (at, column) in columns.iter().enumerate() {
                self.value(column, row).map_err(|reason| {
                    let schema = batch.schema();
                    let name = schema.fields().get(at).map(|field| field.name().as_str());
                    format!("column `{}`: {reason}", name.unwrap_or_default())
                })?;
            }
            self.rows += 1;
            if self.out.len() >= CHUNK {
                chunks.push(self.out.split().freeze());
            }
        }
        Ok(chunks)
    }

    /// The last bytes.
    pub fn finish(&mut self) -> Bytes {
        self.out.put_i16(-1);
        self.out.split().freeze()
    }

    fn value(&mut self, values: &Values<'_>, row: usize) -> Result<(), String> {
        let out = &mut self.out;
        match values {
            Values::Texts(texts) if texts.is_valid(row) => {
                let text = texts.value(row);
                let nuls = text.matches(NUL).count();
                if nuls == 0 {
                    return field(out, text.as_bytes());
                }
                self.nuls += nuls as u64;
                field(out, text.replace(NUL, NUL_SHOWN).as_bytes())
            }
            Values::Ints(ints) if ints.is_valid(row) => field(out, &ints.value(row).to_be_bytes()),
            Values::Floats(floats) if floats.is_valid(row) => {
                field(out, &floats.value(row).to_be_bytes())
            }
            Values::Bools(bools) if bools.is_valid(row) => {
                field(out, &[u8::from(bools.value(row))])
            }
            Values::Dates(dates) if dates.is_valid(row) => {
                field(out, &day(dates.value(row))?.to_be_bytes())
            }
            Values::Times(times) if times.is_valid(row) => {
                field(out, &time(times.value(row))?.to_be_bytes())
            }
            _ => {
                out.put_i32(NULL);
                Ok(())
            }
        }
    }
}

fn field(out: &mut BytesMut, bytes: &[u8]) -> Result<(), String> {
    let length = i32::try_from(bytes.len())
        .map_err(|_| format!("a text has {} bytes, more than a database holds", bytes.len()))?;
    out.put_i32(length);
    out.put_slice(bytes);
    Ok(())
}

/// Microseconds since PostgreSQL's epoch. Beyond its range some values would mean infinity.
fn time(micros: i64) -> Result<i64, String> {
    let since = micros.checked_sub(EPOCH_MICROS);
    since.filter(|since| (LEAST_MICROS..END_MICROS).contains(since)).ok_or_else(|| {
        format!(
            "a time lies {micros} microseconds from 1970: no timestamp of PostgreSQL reaches it"
        )
    })
}

/// Days since PostgreSQL's epoch.
fn day(days: i32) -> Result<i32, String> {
    let since = days.checked_sub(EPOCH_DAYS).filter(|since| (LEAST_DAY..END_DAY).contains(since));
    since.ok_or_else(|| {
        format!("a date lies {days} days from 1970: no date of PostgreSQL reaches it")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn rows_are_as_the_servers_manual_describes_them() {
        let fields = vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("number", DataType::Int64, true),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("a\0b"), None])),
            Arc::new(Int64Array::from(vec![None, Some(-2)])),
        ];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let mut copy = Rows::new("r", EPOCH_MICROS + 1).unwrap();
        assert!(copy.push(&batch).unwrap().is_empty());
        let bytes = copy.finish();
        let first = b"\0\x04\0\0\0\x01r\0\0\0\x08\0\0\0\0\0\0\0\x01";
        let expected = [
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice(),
            first,
            b"\0\0\0\x0aa[U+0000]b\xff\xff\xff\xff",
            first,
            b"\xff\xff\xff\xff\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe",
            b"\xff\xff",
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!((copy.rows, copy.nuls), (2, 1));
    }

    #[test]
    fn a_time_beyond_the_servers_range_is_no_infinity() {
        assert_eq!(time(EPOCH_MICROS).unwrap(), 0);
        // What would be -infinity and infinity.
        assert!(time(i64::MIN).is_err() && time(i64::MIN + EPOCH_MICROS).is_err());
        assert!(time(i64::MAX).is_ok_and(|since| since < i64::MAX));
        assert_eq!(day(EPOCH_DAYS).unwrap(), 0);
        assert!(day(i32::MIN).is_err() && day(i32::MAX).is_err());
    }
}
