//! Points in time, exact to the nanosecond.
//!
//! Logs carry anything from seconds to nanoseconds, and years that do not fit a 64-bit count of
//! nanoseconds. A [`Moment`] keeps microseconds and the nanoseconds beyond them apart, so that the
//! comparison with a cut point happens at the source's own precision (docs/counting.md, rule 1).

use std::fmt;

use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

/// Microseconds in a UTC day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, and 0 to 999 nanoseconds beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub micros: i64,
    pub nanos: u16,
}

/// As RFC 3339.
impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> serde::Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text: String = serde::Deserialize::deserialize(from)?;
        let bad =
            || serde::de::Error::custom(format!("`{text}` is no moment as RFC 3339 writes it"));
        Self::parse_rfc3339(&text).ok_or_else(bad)
    }
}

/// The unit of an integer that counts since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Moment {
    pub const MIN: Self = Self { micros: i64::MIN, nanos: 0 };
    pub const MAX: Self = Self { micros: i64::MAX, nanos: 999 };

    pub const fn from_micros(micros: i64) -> Self {
        Self { micros, nanos: 0 }
    }

    /// The moment `count` units after the epoch; `None` where it does not fit.
    #[inline]
    pub fn from_epoch(count: i64, unit: EpochUnit) -> Option<Self> {
        let micros = match unit {
            EpochUnit::Seconds => count.checked_mul(1_000_000)?,
            EpochUnit::Millis => count.checked_mul(1_000)?,
            EpochUnit::Micros => count,
            EpochUnit::Nanos => {
                let nanos = u16::try_from(count.rem_euclid(1_000)).ok()?;
                return Some(Self { micros: count.div_euclid(1_000), nanos });
            }
        };
        Some(Self::from_micros(micros))
    }

    /// A moment of the system's clock or of a file; `None` before 1970.
    pub fn from_system(at: std::time::SystemTime) -> Option<Self> {
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok().map(Self::from_micros)
    }

    fn from_datetime<Z: TimeZone>(at: &DateTime<Z>) -> Option<Self> {
        let nanos = at.timestamp_subsec_nanos();
        // A leap second (nanos past a billion) is folded into the second that follows.
        let micros =
            at.timestamp().checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))?;
        Some(Self { micros, nanos: u16::try_from(nanos % 1_000).ok()? })
    }

    /// The UTC day: days since 1970-01-01.
    #[inline]
    pub fn day(self) -> i64 {
        self.micros.div_euclid(DAY_MICROS)
    }

    /// The moment `micros` later; saturates at the ends of the range.
    pub fn plus_micros(self, micros: i64) -> Self {
        Self { micros: self.micros.saturating_add(micros), nanos: self.nanos }
    }

    /// RFC 3339 with a zone, 0 to 9 fractional digits (a blank or lower-case `t` is taken too).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text.trim()).ok()?;
        Self::from_datetime(&at)
    }

    /// A registry or configuration value: RFC 3339, a date (midnight in `zone`), or a date and time
    /// without a zone (wall time in `zone`).
    ///
    /// # Errors
    /// Says what the text would have to look like.
    pub fn parse_setting(text: &str, zone: Zone) -> Result<Self, String> {
        let text = text.trim();
        if let Some(at) = Self::parse_rfc3339(text) {
            return Ok(at);
        }
        let naive = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .and_then(|d| d.and_hms_opt(0, 0, 0))
            .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok())
            .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok());
        let Some(naive) = naive else {
            return Err(format!(
                "`{text}` is no date or time; write 2018-04-04 or 2018-04-04T00:00:00Z"
            ));
        };
        zone.resolve(naive).ok_or_else(|| {
            format!("`{text}` names no single moment in zone {zone}; give it with an offset")
        })
    }

    /// RFC 3339 in UTC, as short as is exact: `2019-11-06T00:00:00Z`.
    pub fn to_rfc3339(self) -> String {
        let secs = self.micros.div_euclid(1_000_000);
        let nanos = self.micros.rem_euclid(1_000_000) * 1_000 + i64::from(self.nanos);
        match u32::try_from(nanos).ok().and_then(|n| DateTime::<Utc>::from_timestamp(secs, n)) {
            Some(at) => at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            None => format!("{}µs", self.micros),
        }
    }

    /// Appends RFC 3339 in UTC with six digits of a second: for columns of a table.
    pub fn write_rfc3339_micros(self, out: &mut String) {
        let at = DateTime::<Utc>::from_timestamp_micros(self.micros);
        let Some(at) = at.filter(|at| (0..10_000).contains(&at.year())) else {
            out.push_str(&self.to_rfc3339());
            return;
        };
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put_date(&mut text, at.date_naive());
        put_digits(&mut text, 13, at.hour());
        put_digits(&mut text, 16, at.minute());
        put_digits(&mut text, 19, at.second());
        put_digits(&mut text, 26, at.timestamp_subsec_micros());
        out.push_str(std::str::from_utf8(&text).unwrap_or_default());
    }

    /// `20191106T000000Z`, with a fraction where there is one: for names of folders.
    pub fn to_compact(self) -> String {
        self.to_rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Puts the digits of a number into their places, the last of them before `end`, over zeros. A table has many
/// moments and days: a formatter takes ten times as long.
fn put_digits(text: &mut [u8], end: usize, mut number: u32) {
    for place in text.iter_mut().take(end).rev() {
        if number == 0 {
            break;
        }
        // A digit is less than 256.
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The date over `0000-00-00`; of a year from 0 to 9999.
fn put_date(text: &mut [u8], date: NaiveDate) {
    put_digits(text, 4, date.year().unsigned_abs());
    put_digits(text, 7, date.month());
    put_digits(text, 10, date.day());
}

/// The UTC date of a day number, `2019-11-06`.
pub fn day_to_date(day: i64) -> String {
    let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days);
    match date {
        Some(date) if (0..10_000).contains(&date.year()) => {
            let mut text = *b"0000-00-00";
            put_date(&mut text, date);
            String::from_utf8_lossy(&text).into_owned()
        }
        Some(date) => date.format("%Y-%m-%d").to_string(),
        None => format!("day {day}"),
    }
}

/// A declared time zone: an IANA name, or a fixed offset such as `+02:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Named(Tz),
    Fixed(chrono::FixedOffset),
}

impl Zone {
    pub const UTC: Self = Self::Named(Tz::UTC);

    /// # Errors
    /// Names the text and what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "Z" {
            return Ok(Self::UTC);
        }
        if let Ok(tz) = text.parse::<Tz>() {
            return Ok(Self::Named(tz));
        }
        if let Ok(offset) = text.parse::<chrono::FixedOffset>() {
            return Ok(Self::Fixed(offset));
        }
        Err(format!(
            "`{text}` is no time zone; use an IANA name (Europe/Dublin) or an offset (+02:00)"
        ))
    }

    /// The one moment at which clocks in this zone show `naive`; `None` where there are none or two.
    pub fn resolve(self, naive: NaiveDateTime) -> Option<Moment> {
        let offset = match self {
            Self::Fixed(offset) => offset,
            Self::Named(tz) => match tz.offset_from_local_datetime(&naive) {
                LocalResult::Single(offset) => offset.fix(),
                LocalResult::Ambiguous(..) | LocalResult::None => return None,
            },
        };
        let utc = naive
            .and_utc()
            .checked_sub_signed(chrono::TimeDelta::seconds(i64::from(offset.local_minus_utc())))?;
        Moment::from_datetime(&utc)
    }

    /// The day of the zone's calendar that a moment falls on: days since 1970-01-01.
    pub fn day(self, at: Moment) -> i64 {
        let utc = DateTime::<Utc>::from_timestamp_micros(at.micros);
        let local = utc.map(|utc| match self {
            Self::Named(zone) => utc.with_timezone(&zone).date_naive(),
            Self::Fixed(zone) => utc.with_timezone(&zone).date_naive(),
        });
        let days = local.map(|date| date.signed_duration_since(NaiveDate::default()).num_days());
        days.unwrap_or_else(|| at.day())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(tz) => write!(f, "{tz}"),
            Self::Fixed(offset) => write!(f, "{offset}"),
        }
    }
}

/// A time of day of some date without a zone, as tables write partition values: `2021-09-08 11:11:11.5`.
/// `None` for texts that name a zone, and for all others.
pub fn wall_time(text: &str) -> Option<NaiveDateTime> {
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// A length of time such as `90d`, `36h`, `15m`, `30s`: microseconds.
///
/// # Errors
/// Names the text and what is accepted.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is no length of time; write 1d, 36h, 15m or 30s");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("d") => DAY_MICROS,
        Some("h") => 3_600_000_000,
        Some("m") => 60_000_000,
        Some("s") => 1_000_000,
        _ => return Err(bad()),
    };
    let count: i64 = digits.parse().map_err(|_| bad())?;
    if count < 0 {
        return Err(bad());
    }
    count.checked_mul(unit).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_nine_digits_are_kept_and_ordered() {
        let a = Moment::parse_rfc3339("2018-04-04T00:00:00.000000001Z").unwrap();
        let b = Moment::parse_rfc3339("2018-04-04T00:00:00Z").unwrap();
        assert!(a > b);
        assert_eq!((a.micros - b.micros, a.nanos), (0, 1));
        assert_eq!(a.to_rfc3339(), "2018-04-04T00:00:00.000000001Z");
    }

    #[test]
    fn moments_before_the_epoch_floor_to_the_day_before() {
        let at = Moment::from_epoch(-1, EpochUnit::Nanos).unwrap();
        assert_eq!((at.micros, at.nanos, at.day()), (-1, 999, -1));
    }

    #[test]
    fn six_digits_are_those_of_chrono() {
        // The first and last microseconds of years that have four digits, and some between.
        let ends =
            [-62_167_219_200_000_000, -1, 0, 9, 1_572_998_379_459_342, 253_402_300_799_999_999];
        let steps = (0..2_000).map(|i| i * 126_230_400_017_003 - 62_167_219_200_000_000);
        for micros in ends.into_iter().chain(steps) {
            let mut text = String::new();
            Moment::from_micros(micros).write_rfc3339_micros(&mut text);
            let theirs = DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
            assert_eq!(text, theirs.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        }
    }

    #[test]
    fn a_wall_time_that_clocks_show_twice_is_no_moment() {
        let zone = Zone::parse("Europe/Dublin").unwrap();
        let twice = NaiveDate::from_ymd_opt(2019, 10, 27).unwrap().and_hms_opt(1, 30, 0).unwrap();
        assert_eq!(zone.resolve(twice), None);
        assert!(Moment::parse_setting("2019-10-28", zone).is_ok());
    }

    #[test]
    fn a_date_is_midnight_in_its_zone() {
        let zone = Zone::parse("+02:00").unwrap();
        let at = Moment::parse_setting("2018-04-04", zone).unwrap();
        assert_eq!(at.to_rfc3339(), "2018-04-03T22:00:00Z");
    }
}
