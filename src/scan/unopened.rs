//! Files that are not opened: the table tells enough of them.

use std::ops::{Range, RangeInclusive};

use super::prune::{Pruned, last_day, partition_bound, partition_day};
use super::{ScanContext, UnitRecord};
use crate::config::{ColumnPlan, TimeFormat};
use crate::moment::{Moment, Zone};
use crate::snapshot::{Clock, SnapshotFile, TimeBounds};

/// The account of a file that the table says enough of to be left out unread: its partition or its times lie
/// before every day that is kept, and how many rows it has is told.
pub fn left_out(context: &ScanContext, file: &SnapshotFile) -> Option<UnitRecord> {
    if !context.pruning {
        return None;
    }
    let rows = file.rows.filter(|rows| *rows > 0)?;
    let deleted = match &file.deletes {
        Some(deletes) => deletes.rows?,
        None => 0,
    };
    let live = rows.checked_sub(deleted)?;
    let (bound, partition_day) = match &context.partition_time {
        Some(plan) => (
            partition_bound(plan, &file.partitions).ok()?,
            partition_day(plan, &file.partitions).ok()?,
        ),
        None => (None, None),
    };
    let times = file.times.as_ref().and_then(|of| Times::of(of, &context.mapping.time));
    let mut pruned = Pruned::default();
    match told_by(context, bound.as_ref(), times.as_ref())? {
        Told::Partition => pruned.partition = live,
        Told::Statistics => pruned.time_statistics = live,
    }
    let file_day = partition_day.or_else(|| times.as_ref()?.day());
    // Where every day with a row must be known, a file of several days is read for them.
    if file_day.is_none() && context.all_days {
        return None;
    }
    let first = times.map(|times| times.within.start().day());
    Some(UnitRecord {
        of: 1,
        rows,
        deleted,
        pruned,
        file_day,
        first_day: first.or(bound.as_ref().map(|bound| bound.start.day())),
        last_day: bound.as_ref().map(last_day),
        // Where all rows are gone it covers no day.
        days: file_day.filter(|_| live > 0).map(|day| (day, day)).into_iter().collect(),
        unopened: true,
        ..Default::default()
    })
}

/// Whether a file lies before every day that is kept by its partition or by what its table tells of its times,
/// whether or not it is left out for that.
pub fn lies_before(context: &ScanContext, file: &SnapshotFile) -> bool {
    let plan = context.partition_time.as_ref();
    let bound = plan.and_then(|plan| partition_bound(plan, &file.partitions).ok()?);
    let times = file.times.as_ref().and_then(|of| Times::of(of, &context.mapping.time));
    told_by(context, bound.as_ref(), times.as_ref()).is_some()
}

/// What tells that a file lies before every day that is kept.
enum Told {
    Partition,
    Statistics,
}

fn told_by(
    context: &ScanContext,
    bound: Option<&Range<Moment>>,
    times: Option<&Times>,
) -> Option<Told> {
    let first_day = context.asked.first_day;
    if bound.is_some_and(|bound| last_day(bound) < first_day) {
        return Some(Told::Partition);
    }
    times.is_some_and(|times| times.end.day() < first_day).then_some(Told::Statistics)
}

/// Bounds of a file's event times, as the table tells them.
#[derive(Clone, Debug)]
pub struct Times {
    /// As they are told; they may be cut within their day.
    within: RangeInclusive<Moment>,
    /// The last moment that a row may be of.
    pub end: Moment,
}

impl Times {
    /// `None` where the mapping does not say which moments the bounds are, or where clock changes would
    /// come between them and the rows.
    pub fn of(bounds: &TimeBounds, plan: &ColumnPlan) -> Option<Self> {
        let unit = match (bounds.clock, &plan.format) {
            (Clock::Utc(unit), _) => unit,
            (Clock::Wall(unit), _) if plan.zone == Some(Zone::UTC) => unit,
            (Clock::Number, Some(TimeFormat::Epoch(unit))) => *unit,
            _ => return None,
        };
        let moment = |count: i64| Moment::from_epoch(count, unit);
        let end = moment(bounds.greatest.checked_add(bounds.slack)?)?;
        Some(Self { within: moment(bounds.least)?..=moment(bounds.greatest)?, end })
    }

    /// The day on which all lie.
    fn day(&self) -> Option<i64> {
        let day = self.within.start().day();
        (day == self.within.end().day()).then_some(day)
    }

    /// Whether times from `least` to `greatest` may be the file's.
    pub fn hold(&self, least: Moment, greatest: Moment) -> bool {
        *self.within.start() <= least && greatest <= self.end
    }

    /// As people read them.
    pub fn shown(&self) -> [String; 2] {
        [self.within.start().to_rfc3339(), self.end.to_rfc3339()]
    }
}
