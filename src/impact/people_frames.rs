//! Frames of where people live, of who must be told, and by when.

use std::borrow::Cow;

use polars::prelude::{DataFrame, PolarsResult};

use super::coverage::SourceCoverage;
use super::frames::{Builder, Names, Report, escaped};
use crate::exposure::{Cell, Grain, Residents, Term, Window};
use crate::moment::{DAY_MICROS, Moment, Zone};
use crate::people::Residence;
use crate::registry::{Clock, Place, Threshold, Unit};

/// Where a residence's people live; nothing where it is not known.
fn residence<'a>(report: &Report<'a>, code: u32) -> Option<&'a Residence> {
    usize::try_from(code).ok().and_then(|code| report.residences.get(code))
}

fn int(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

/// What a cell's key shows in the grains that residents are told by.
fn named<'a>(names: &Names<'a>, cell: &'a Cell) -> [Option<Cow<'a, str>>; 3] {
    let all = || Some(Cow::Borrowed("(all)"));
    let with_scope = matches!(cell.key.grain, Grain::ScopeApp | Grain::Scope);
    let with_app = matches!(cell.key.grain, Grain::ScopeApp | Grain::App);
    let name = cell.key.app.as_ref().and_then(|id| names.app(id).0);
    [
        if with_scope { cell.key.scope.as_deref().map(escaped) } else { all() },
        if with_app { cell.key.app.as_deref().map(escaped) } else { all() },
        name.map(Cow::Borrowed),
    ]
}

pub(super) fn residents(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let names = &report.names;
    let cells: Vec<_> = report
        .exposure
        .cells
        .iter()
        .filter(|cell| !cell.residents.is_empty())
        .map(|cell| (cell, named(names, cell)))
        .collect();
    let rows: Vec<_> = cells
        .iter()
        .flat_map(|(cell, named)| {
            cell.residents.iter().map(move |(code, people)| (cell, named, *code, people))
        })
        .collect();
    let place = |of: fn(&Residence) -> &Option<String>| {
        rows.iter().map(move |r| residence(report, r.2).and_then(|r| of(r).as_deref()).map(escaped))
    };
    let upper =
        |people: &Residents| report.registry.has_memberships.then_some(people.upper).and_then(int);
    let known = |of: fn((i64, i64)) -> i64| {
        rows.iter().map(move |r| r.3.known().map(|known| Moment::from_micros(of(known))))
    };
    Builder::default()
        .text("grain", rows.iter().map(|r| Some(r.0.key.grain.name())))
        .text("scope", rows.iter().map(|r| r.1[0].as_deref()))
        .text("app_id", rows.iter().map(|r| r.1[1].as_deref()))
        .text("app_name", rows.iter().map(|r| r.1[2].as_deref()))
        .text("country", place(|r| &r.country))
        .text("subdivision", place(|r| &r.subdivision))
        .text("category", place(|r| &r.category))
        .boolean("is_known", rows.iter().map(|r| Some(residence(report, r.2).is_some())).collect())
        .count("subjects_observed", rows.iter().map(|r| r.3.observed))
        .int("subjects_upper_bound", rows.iter().map(|r| upper(r.3)).collect())
        .time("residency_from", known(|known| known.0))?
        .time("residency_to", known(|known| known.1))?
        .finish()
}

/// People of a cell to whom a threshold applies.
struct Counted {
    observed: u64,
    /// `None` without memberships.
    upper: Option<u64>,
    /// People of whom it is not known where they live: the same two counts.
    unplaced: (u64, u64),
    /// Whether nobody can have been reached beside them: the upper bound is one, and the log is whole.
    complete: bool,
}

/// Whether the log shows every call of the scopes since `from`: a count that rests on absence needs that
/// (docs/counting.md, rule 13).
fn is_whole(report: &Report<'_>, from: Option<Moment>) -> bool {
    let Some(from) = from.map(Moment::day) else { return false };
    let rejected = |source: &SourceCoverage| {
        source.days.values().any(|day| day.terms.get(Term::Rejected as usize) != Some(&0))
    };
    report.complete
        && !report.coverage.is_empty()
        && report.coverage.iter().all(|source| {
            let periods = source.periods.as_ref().filter(|p| p.is_declared_since(from));
            !rejected(source) && periods.map(|p| p.since(from)).is_some_and(|(a, b)| a == b)
        })
}

/// `None` where nothing tells who lives in the threshold's jurisdiction.
fn counted(
    report: &Report<'_>,
    of: Option<&String>,
    cell: Option<&Cell>,
    threshold: &Threshold,
) -> Option<Counted> {
    let has_memberships = report.registry.has_memberships;
    let measures = cell.map(|cell| cell.windows.get(Window::AfterRestriction));
    let begun = report.registry.scopes.iter().filter(|(name, scope)| {
        scope.restricted_at < report.as_of && of.is_none_or(|of| of == *name)
    });
    let complete = measures.is_none_or(|m| m.subjects_unknown_rows == 0 && m.unsettled == 0)
        && is_whole(report, begun.map(|(_, scope)| scope.restricted_at).min());
    if threshold.places.is_none() {
        return Some(Counted {
            observed: measures.map_or(0, |m| m.subjects),
            upper: has_memberships
                .then(|| measures.and_then(|m| m.subjects_upper).unwrap_or_default()),
            unplaced: (0, 0),
            complete,
        });
    }
    if !report.registry.has_residency {
        return None;
    }
    let (mut observed, mut upper, mut unplaced) = (0, 0, (0, 0));
    for (code, people) in cell.map(|cell| cell.residents.as_slice()).unwrap_or_default() {
        let place = residence(report, *code);
        let country = place.and_then(|place| place.country.as_deref());
        let subdivision = place.and_then(|p| p.subdivision.as_deref());
        match threshold.place(country, subdivision) {
            Place::Covered => {
                observed += people.observed;
                upper += people.upper;
            }
            Place::Unplaced => {
                unplaced.0 += people.observed;
                unplaced.1 += people.upper;
            }
            Place::Elsewhere => {}
        }
    }
    Some(Counted { observed, upper: has_memberships.then_some(upper), unplaced, complete })
}

/// Whether a threshold is met, as far as is known.
fn state(threshold: &Threshold, counted: Option<&Counted>) -> &'static str {
    let Some((operator, number)) = threshold.number else { return "no_number" };
    let Some(counted) = counted else { return "undecided" };
    if operator.holds(counted.observed, number) {
        return "met";
    }
    match counted.upper {
        Some(upper) if operator.holds(upper, number) => "met_by_upper_bound",
        // Nobody else can have been reached, wherever those live of whom it is not known.
        Some(upper) if counted.complete && !operator.holds(upper + counted.unplaced.1, number) => {
            "not_met"
        }
        _ => "undecided",
    }
}

pub(super) fn thresholds(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let cell = |scope: Option<&String>| {
        let grain = if scope.is_some() { Grain::Scope } else { Grain::All };
        let mut cells = report.exposure.cells.iter();
        cells.find(|cell| cell.key.grain == grain && cell.key.scope.as_ref() == scope)
    };
    let begun = report.registry.scopes.iter().filter(|(_, s)| s.restricted_at < report.as_of);
    let scopes: Vec<Option<&String>> =
        std::iter::once(None).chain(begun.map(|(name, _)| Some(name))).collect();
    let rows: Vec<(Option<&String>, &Threshold, Option<Counted>)> = scopes
        .into_iter()
        .flat_map(|scope| {
            let cell = cell(scope);
            let all = report.registry.thresholds.iter().flatten();
            all.map(move |threshold| (scope, threshold, counted(report, scope, cell, threshold)))
        })
        .collect();
    let number = |r: &(_, &Threshold, _)| r.1.number;
    let of = |of: fn(&Counted) -> Option<u64>| -> Vec<Option<i64>> {
        rows.iter().map(|r| r.2.as_ref().and_then(of).and_then(int)).collect()
    };
    let by = |of: fn(&Counted) -> Option<u64>| -> Vec<Option<bool>> {
        rows.iter()
            .map(|r| {
                let (operator, number) = r.1.number?;
                Some(operator.holds(of(r.2.as_ref()?)?, number))
            })
            .collect()
    };
    Builder::default()
        .text("grain", rows.iter().map(|r| Some(if r.0.is_some() { "scope" } else { "all" })))
        .text("scope", rows.iter().map(|r| Some(r.0.map_or(Cow::from("(all)"), |s| escaped(s)))))
        .text("regime", rows.iter().map(|r| Some(escaped(&r.1.regime))))
        .text("jurisdiction", rows.iter().map(|r| Some(r.1.jurisdiction.as_str())))
        .text("operator", rows.iter().map(|r| number(r).map(|(operator, _)| operator.sign())))
        .int("number", rows.iter().map(|r| number(r).and_then(|(_, n)| int(n))).collect())
        .int("subjects_observed", of(|c| Some(c.observed)))
        .int("subjects_upper_bound", of(|c| c.upper))
        .int("subjects_observed_unplaced", of(|c| Some(c.unplaced.0)))
        .int("subjects_upper_bound_unplaced", of(|c| c.upper.map(|_| c.unplaced.1)))
        .boolean("met_by_observed", by(|c| Some(c.observed)))
        .boolean("met_by_upper_bound", by(|c| c.upper))
        .text("state", rows.iter().map(|r| Some(state(r.1, r.2.as_ref()))))
        .text("source", rows.iter().map(|r| r.1.source.as_deref()))
        .finish()
}

/// The moment by which a limit that starts at `from` ends. Days are 24 hours; a business day is Monday to
/// Friday in `zone`.
fn due(from: Moment, limit: u32, unit: Unit, zone: Zone) -> Moment {
    let days = |days: i64| from.plus_micros(days.saturating_mul(DAY_MICROS));
    match unit {
        Unit::Hours => from.plus_micros(i64::from(limit).saturating_mul(DAY_MICROS / 24)),
        Unit::CalendarDays => days(i64::from(limit)),
        Unit::BusinessDays => {
            let start = zone.day(from);
            let (mut passed, mut left) = (0, limit);
            while left > 0 {
                passed += 1;
                // Day 0 was a Thursday; the weekend is days 2 and 3 after one.
                let weekday = (start + passed).rem_euclid(7);
                left -= u32::from(weekday != 2 && weekday != 3);
            }
            days(passed)
        }
    }
}

pub(super) fn deadlines(report: &Report<'_>) -> PolarsResult<DataFrame> {
    let incident = &report.incident;
    // What is told of later days is not known at as_of.
    let known = |at: Option<Moment>| at.filter(|at| *at <= report.as_of);
    let rows: Vec<_> = report
        .registry
        .thresholds
        .iter()
        .flatten()
        .filter_map(|t| Some((t, t.clock?, t.limit?)))
        .map(|(threshold, clock, (limit, unit))| {
            let started = known(match clock {
                Clock::Aware => incident.aware,
                Clock::Discovered => incident.discovered,
                Clock::Materiality => incident.materiality,
                Clock::Notified => incident.notified,
            });
            let due = started.map(|from| due(from, limit, unit, report.zone));
            // Who told an authority has not told another: each regime has its own.
            let told = known(incident.reported.get(&threshold.regime).copied());
            let state = match (due, told) {
                (None, _) => "not_started",
                (Some(due), Some(told)) if told <= due => "kept",
                (Some(_), Some(_)) => "missed",
                (Some(due), None) if report.as_of <= due => "running",
                (Some(_), None) => "passed",
            };
            (threshold, clock, limit, unit, started, due, state)
        })
        .collect();
    Builder::default()
        .text("regime", rows.iter().map(|r| Some(escaped(&r.0.regime))))
        .text("jurisdiction", rows.iter().map(|r| Some(r.0.jurisdiction.as_str())))
        .text("starting_event", rows.iter().map(|r| Some(r.1.name())))
        .time("started_at", rows.iter().map(|r| r.4))?
        .int("time_limit", rows.iter().map(|r| Some(i64::from(r.2))).collect())
        .text("unit", rows.iter().map(|r| Some(r.3.name())))
        .time("due_at", rows.iter().map(|r| r.5))?
        .text("state", rows.iter().map(|r| Some(r.6)))
        .text("source", rows.iter().map(|r| r.0.source.as_deref()))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_end_after_hours_days_or_business_days() {
        let at = |text: &str| Moment::parse_rfc3339(text).unwrap();
        // 2019-11-01 was a Friday.
        let friday = at("2019-11-01T15:00:00Z");
        let end = |limit, unit| due(friday, limit, unit, Zone::UTC).to_rfc3339();
        assert_eq!(end(72, Unit::Hours), "2019-11-04T15:00:00Z");
        assert_eq!(end(30, Unit::CalendarDays), "2019-12-01T15:00:00Z");
        assert_eq!(end(4, Unit::BusinessDays), "2019-11-07T15:00:00Z");
        assert_eq!(end(1, Unit::BusinessDays), "2019-11-04T15:00:00Z");
        // Late on Sunday in UTC it is Monday in Tokyo: the next business day is Tuesday there.
        let sunday = at("2019-11-03T20:00:00Z");
        let tokyo = Zone::parse("Asia/Tokyo").unwrap();
        let of = |zone| due(sunday, 1, Unit::BusinessDays, zone).to_rfc3339();
        assert_eq!(of(Zone::UTC), "2019-11-04T20:00:00Z");
        assert_eq!(of(tokyo), "2019-11-04T20:00:00Z");
        let friday_night = at("2019-11-01T20:00:00Z");
        let of = |zone| due(friday_night, 1, Unit::BusinessDays, zone).to_rfc3339();
        assert_eq!(of(Zone::UTC), "2019-11-04T20:00:00Z");
        // There it is Saturday: Monday comes two days later.
        assert_eq!(of(tokyo), "2019-11-03T20:00:00Z");
    }
}
