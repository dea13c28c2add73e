//! Frames of what tables refer to: apps, and days.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use polars::prelude::{DataFrame, PolarsResult};

use super::frames::{Builder, Report, escaped};
use crate::moment::Moment;

/// Days from the first of the common era to 1970-01-01.
const EPOCH_CE: i64 = 719_163;

/// Apps of the registry, of events that count, and of promises.
pub(super) fn apps(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let registered = report.registry.apps.keys();
    let met = report.exposure.cells.iter().filter_map(|cell| cell.key.app.as_ref());
    let promised = report.registry.attestations.iter().flatten().map(|promise| &promise.app);
    let apps: BTreeSet<&String> = registered.chain(met).chain(promised).collect();
    let named: Vec<_> = apps.iter().map(|app| names.app(app)).collect();
    let is_registered = |app: &&String| Some(report.registry.apps.contains_key(*app));
    Builder::default()
        .text("app_id", apps.iter().map(|app| Some(escaped(app))))
        .text("app_name", named.iter().map(|n| n.0))
        .text("developer_id", named.iter().map(|n| n.1.as_deref()))
        .text("developer_name", named.iter().map(|n| n.2))
        .boolean("is_registered", apps.iter().map(is_registered).collect())
        .finish()
}

/// Days from the first with an event that counts to the last, without a gap. What days files have is another
/// matter: the same rows in other files are the same days.
pub(super) fn dates(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let days = report.days.map(|(first, last)| (first..=last).collect());
    let days: Vec<i64> = days.unwrap_or_default();
    let dates: Vec<Option<NaiveDate>> = days.iter().map(|day| date_of(*day)).collect();
    let part = |of: fn(NaiveDate) -> u32| -> Vec<Option<i64>> {
        dates.iter().map(|date| date.map(|date| i64::from(of(date)))).collect()
    };
    let back = |of: fn(NaiveDate) -> u32| -> Vec<Option<i64>> {
        let first = |(day, date): (&i64, &Option<NaiveDate>)| Some(day - i64::from(of((*date)?)));
        days.iter().zip(&dates).map(first).collect()
    };
    // A day begins with its first microsecond.
    let is_lookback = |day: &i64| {
        let begins = Moment::from_micros(day.saturating_mul(crate::moment::DAY_MICROS));
        Some(report.lookback_from <= begins && begins < report.as_of)
    };
    Builder::default()
        .date("day", days.iter().map(|day| Some(*day)).collect())?
        .int("year", dates.iter().map(|date| date.map(|d| i64::from(d.year()))).collect())
        .int("quarter", part(|date| date.month0() / 3 + 1))
        .int("month", part(|date| date.month()))
        .date("month_start", back(|date| date.day0()))?
        .date("week_start", back(|date| date.weekday().num_days_from_monday()))?
        .int("weekday", part(|date| date.weekday().number_from_monday()))
        .boolean("is_lookback", days.iter().map(is_lookback).collect())
        .finish()
}

/// `None` beyond what calendars of programs reach.
fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(day.checked_add(EPOCH_CE)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_number_is_its_date() {
        assert_eq!(date_of(0), NaiveDate::from_ymd_opt(1970, 1, 1));
        assert_eq!(date_of(-1), NaiveDate::from_ymd_opt(1969, 12, 31));
        assert_eq!(date_of(18_262), NaiveDate::from_ymd_opt(2020, 1, 1));
        assert_eq!(date_of(i64::MAX), None);
    }
}
