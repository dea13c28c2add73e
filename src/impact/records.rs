//! Cells of CSV files.

use std::borrow::Cow;
use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::frames;
use crate::key::MixMap;
use crate::moment::{DAY_MICROS, Moment, day_to_date};

/// Where a cell is written, again and again.
#[derive(Default)]
pub struct Room {
    digits: itoa::Buffer,
    text: String,
}

/// Texts, of which those of neighbours are often the same.
pub struct Texts<'a> {
    texts: &'a StringArray,
    last: Option<&'a str>,
    /// How the last one is shown, where that is not as it is.
    shown: Option<String>,
}

impl Texts<'_> {
    fn cell(&mut self, row: usize) -> &[u8] {
        let text = self.texts.value(row);
        if self.last != Some(text) {
            self.last = Some(text);
            self.shown = match frames::csv_cell(text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(shown) => Some(shown),
            };
        }
        self.shown.as_deref().unwrap_or(text).as_bytes()
    }
}

/// Days as dates. A table has few of them, often.
#[derive(Default)]
pub struct Dates(MixMap<u64, String>);

impl Dates {
    fn text(&mut self, day: i64) -> &str {
        self.0.entry(day.cast_unsigned()).or_insert_with(|| day_to_date(day))
    }

    /// As [`Moment::write_rfc3339_micros`].
    fn time(&mut self, micros: i64, out: &mut String) {
        let date = self.text(micros.div_euclid(DAY_MICROS));
        // Of years that need no more than four digits.
        if date.len() != "2019-11-06".len() || date.starts_with('-') {
            Moment::from_micros(micros).write_rfc3339_micros(out);
            return;
        }
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut rest = micros.rem_euclid(DAY_MICROS);
        for (places, size) in [(20..26, 1_000_000), (17..19, 60), (14..16, 60), (11..13, 24)] {
            let mut number = rest % size;
            rest /= size;
            for place in text.get_mut(places).into_iter().flatten().rev() {
                // A digit is less than 256.
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        for (place, byte) in text.iter_mut().zip(date.bytes()) {
            *place = byte;
        }
        out.push_str(std::str::from_utf8(&text).unwrap_or_default());
    }
}

/// A column as cells of a CSV file; nulls are empty.
pub enum Cells<'a> {
    Texts(Texts<'a>),
    Ints(&'a Int64Array),
    Times(&'a TimestampMicrosecondArray, Dates),
    Days(&'a Date32Array, Dates),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    /// # Errors
    /// Types that cannot be written as text.
    pub fn of(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let any = array.as_any();
        Ok(if let Some(texts) = any.downcast_ref() {
            Self::Texts(Texts { texts, last: None, shown: None })
        } else if let Some(ints) = any.downcast_ref() {
            Self::Ints(ints)
        } else if let Some(times) = any.downcast_ref() {
            Self::Times(times, Dates::default())
        } else if let Some(dates) = any.downcast_ref() {
            Self::Days(dates, Dates::default())
        } else {
            static EMPTY_NULLS: FormatOptions<'static> = FormatOptions::new();
            Self::Other(ArrayFormatter::try_new(array.as_ref(), &EMPTY_NULLS)?)
        })
    }

    /// Times in RFC 3339 with six digits, dates as `2019-11-06`; texts as [`frames::csv_cell`] has them.
    ///
    /// # Errors
    /// As `write!`.
    pub fn cell<'b>(
        &'b mut self,
        row: usize,
        room: &'b mut Room,
    ) -> Result<&'b [u8], std::fmt::Error> {
        Ok(match self {
            Self::Texts(cells) if cells.texts.is_valid(row) => cells.cell(row),
            Self::Ints(ints) if ints.is_valid(row) => {
                room.digits.format(ints.value(row)).as_bytes()
            }
            Self::Times(times, dates) if times.is_valid(row) => {
                room.text.clear();
                dates.time(times.value(row), &mut room.text);
                room.text.as_bytes()
            }
            Self::Days(days, dates) if days.is_valid(row) => {
                dates.text(days.value(row).into()).as_bytes()
            }
            Self::Other(cells) => {
                room.text.clear();
                write!(room.text, "{}", cells.value(row))?;
                room.text.as_bytes()
            }
            _ => &[],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_written_as_moments_are(
            times in proptest::collection::vec(
                prop_oneof![any::<i64>(), -70_000_000_000_000_000i64..260_000_000_000_000_000],
                1..20,
            )
        ) {
            let mut dates = Dates::default();
            for micros in times {
                let (mut found, mut expected) = (String::new(), String::new());
                dates.time(micros, &mut found);
                Moment::from_micros(micros).write_rfc3339_micros(&mut expected);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
