//! Matching rows to events: every other mapped column, decided and keyed.

use std::ops::Range;

use arrow::array::{Array, StringArray};
use arrow::record_batch::RecordBatch;

use super::batch::{AccessBatch, KeyColumn, NONE, Outcome, Reject, translated};
use super::columns::Bound;
use super::endpoint::EndpointCache;
use super::mapping::{
    check_status, encoding_of, floats, folded, id_kind, id_texts, ids, integers, list_rows,
    moments, plain_integers, plain_keys, plain_micros, split, text_codes,
};
use super::prune;
use super::scope_sets::ScopeSet;
use super::scopes::{Calls, Matches, Meaning};
use super::statuses::{Statuses, has_word, in_ranges, of_null};
use super::{ScanContext, ScanError};
use crate::config::raw::Encoding;
use crate::key::{IdKind, Key};
use crate::memory::Budget;
use crate::moment::{DAY_MICROS, Moment};

/// The mapped columns of one file.
#[derive(Clone, Debug)]
pub struct Columns {
    pub time: Bound,
    pub app: Bound,
    pub scopes: Option<Bound>,
    pub subject: Option<Bound>,
    pub actor: Option<Bound>,
    pub group: Option<Bound>,
    pub status: Option<Bound>,
    pub bytes: Option<Bound>,
    pub records: Option<Bound>,
    pub fields: Option<Bound>,
    pub weight: Option<Bound>,
    pub event_id: Option<Bound>,
    pub endpoint: Option<Bound>,
    pub method: Option<Bound>,
}

impl Columns {
    /// Leaves that tell the scopes of a row.
    pub fn selecting(&self) -> Vec<usize> {
        match &self.scopes {
            Some(scopes) => scopes.leaves.clone(),
            None => leaves([self.endpoint.as_ref(), self.method.as_ref()]),
        }
    }

    /// Leaves of all else; calls only where they decide what was exercised.
    pub fn reading(&self, with_calls: bool) -> Vec<usize> {
        let calls = [self.endpoint.as_ref(), self.method.as_ref()];
        let mut all = leaves([
            Some(&self.time),
            Some(&self.app),
            self.subject.as_ref(),
            self.actor.as_ref(),
            self.group.as_ref(),
            self.status.as_ref(),
            self.bytes.as_ref(),
            self.records.as_ref(),
            self.fields.as_ref(),
            self.weight.as_ref(),
            self.event_id.as_ref(),
        ]);
        if with_calls {
            all.extend(leaves(calls));
        }
        all
    }
}

fn leaves<'a>(columns: impl IntoIterator<Item = Option<&'a Bound>>) -> Vec<usize> {
    columns.into_iter().flatten().flat_map(|b| b.leaves.iter().copied()).collect()
}

/// Times of rows that are kept.
enum Times<'a> {
    /// All there, to the microsecond.
    Micros(&'a [i64]),
    Moments(&'a [Option<Moment>]),
}

/// Builds the events of one row group.
pub struct EventBuilder<'a> {
    context: &'a ScanContext,
    columns: &'a Columns,
    matches: &'a Matches,
    meaning: Meaning,
    file: &'a str,
    bound: Option<&'a Range<Moment>>,
    pub batch: AccessBatch,
    /// Matching rows before the first kept day of each of their scopes.
    pub before: u64,
    pub unmatched_endpoints: u64,
    /// Matching rows outside the time that the file's partition declares, and the first of them.
    pub outside: (u64, Option<Moment>),
    /// Scope-set codes of `batch` by held set, where nothing else decides.
    set_codes: Vec<u32>,
    /// The first microsecond that is kept of each held set.
    first_micros: Vec<i64>,
    statuses: Statuses,
    at: usize,
    /// Bytes of the groups' own ids in `batch`.
    texts: u64,
    /// Bytes that are taken without them, and that there are.
    room: (u64, u64),
}

/// A group's own id beside its bytes: where it lies, and what the allocator rounds it up by.
const GROUP_ID: u64 = 32;

/// Rows of a pack that are made into columns at once.
const WRITTEN_ROWS: usize = 16 << 10;

impl<'a> EventBuilder<'a> {
    pub fn new(
        context: &'a ScanContext,
        columns: &'a Columns,
        matches: &'a Matches,
        meaning: Meaning,
        (file, bound): (&'a str, Option<&'a Range<Moment>>),
        room: (u64, u64),
    ) -> Self {
        let batch = AccessBatch::default();
        Self {
            context,
            columns,
            matches,
            meaning,
            file,
            bound,
            batch,
            before: 0,
            unmatched_endpoints: 0,
            outside: (0, None),
            set_codes: Vec::new(),
            first_micros: Vec::new(),
            statuses: Statuses::default(),
            at: 0,
            texts: 0,
            room,
        }
    }

    fn names(&self, set: &[u32]) -> Vec<String> {
        let name = |i: &u32| {
            let i = usize::try_from(*i).ok()?;
            self.context.asked.scopes.get(i).map(|s| s.name.clone())
        };
        set.iter().filter_map(name).collect()
    }

    /// The code in `batch` of a held set that was not met before, or that is refused.
    #[cold]
    fn set_code(&mut self, held: u32) -> u32 {
        let index = usize::try_from(held).unwrap_or(usize::MAX);
        let scopes = self.names(self.matches.sets.get(held));
        let exercised =
            if self.meaning == Meaning::Exercised { scopes.clone() } else { Vec::new() };
        let code = self.batch.scope_sets.code(&ScopeSet { scopes, exercised });
        if Matches::reject(held).is_none() {
            if self.set_codes.len() <= index {
                self.set_codes.resize(index + 1, NONE);
            }
            if let Some(slot) = self.set_codes.get_mut(index) {
                *slot = code;
            }
        }
        code
    }

    /// The first microsecond of the first kept day of a held set.
    #[inline]
    fn first_micros(&mut self, held: u32) -> i64 {
        let known = usize::try_from(held).ok().and_then(|held| self.first_micros.get(held));
        match known {
            Some(first) => *first,
            None => self.learn_first(held),
        }
    }

    /// That of a set that was not met before, or that is refused.
    #[cold]
    fn learn_first(&mut self, held: u32) -> i64 {
        let asked = &self.context.asked;
        let micros = |day: i64| day.saturating_mul(DAY_MICROS);
        if Matches::reject(held).is_some() {
            // Whether such a row is read at all depends on what could be left out before this day.
            return micros(asked.first_day);
        }
        let Ok(index) = usize::try_from(held) else { return i64::MIN };
        while self.first_micros.len() <= index {
            let number = u32::try_from(self.first_micros.len()).unwrap_or(NONE);
            let days = self.matches.sets.get(number).iter().filter_map(|i| {
                usize::try_from(*i).ok().and_then(|i| asked.scopes.get(i)).map(|s| s.first_day)
            });
            self.first_micros.push(micros(days.min().unwrap_or(i64::MAX)));
        }
        self.first_micros.get(index).copied().unwrap_or(i64::MIN)
    }

    /// Takes the next matching rows, decoded.
    ///
    /// # Errors
    /// Columns of the wrong type, ids that cannot be read, and [`ScanError::Memory`] where the ids of groups
    /// take more than there is.
    pub fn take(&mut self, rows: &RecordBatch, cache: &mut EndpointCache) -> Result<(), ScanError> {
        self.take_rows(rows, cache)?;
        let (taken, rest) = self.room;
        let sets = self.batch.scope_sets.bytes_held() as u64;
        if taken.saturating_add(of_ids(self.texts, self.at)).saturating_add(sets) <= rest {
            return Ok(());
        }
        // The rows that come are like those that came, about.
        let (all, at) = (self.matches.rows.len(), self.at.max(1));
        let whole = |part: u64| {
            let whole = u128::from(part) * (all as u128) / (at as u128);
            u64::try_from(whole).unwrap_or(u64::MAX).max(part)
        };
        let ids = of_ids(whole(self.texts), all);
        let needed = Budget::limit_for(taken.saturating_add(ids).saturating_add(whole(sets)));
        Err(ScanError::Memory {
            file: self.file.to_string(),
            large: Box::default(),
            needed: needed.div_ceil(1_000_000),
        })
    }

    fn take_rows(
        &mut self,
        rows: &RecordBatch,
        cache: &mut EndpointCache,
    ) -> Result<(), ScanError> {
        let (columns, file) = (self.columns, self.file);
        let from = self.at;
        self.at += rows.num_rows();
        let matches = self.matches;
        let held = matches.held.get(from..self.at).ok_or_else(|| ScanError::Internal {
            what: format!("{file}: more rows were read than match"),
        })?;
        let array = columns.time.values(rows, file)?;
        if let Some(micros) = plain_micros(&columns.time, &array) {
            let inside = self.bound.is_none_or(|bound| {
                micros.iter().all(|m| bound.contains(&Moment::from_micros(*m)))
            });
            let kept = held.iter().zip(micros).all(|(held, m)| *m >= self.first_micros(*held));
            if inside && kept {
                return self.fill(rows, held, Times::Micros(micros), cache);
            }
        }
        let times = moments(&columns.time, &array, file)?;

        // Which rows are kept is known from here on; all columns are filled for these alone.
        let mut keep = Vec::with_capacity(held.len());
        for (held, time) in held.iter().zip(&times) {
            if let (Some(bound), Some(at)) = (self.bound, time)
                && !bound.contains(at)
            {
                self.outside.0 += 1;
                self.outside.1.get_or_insert(*at);
            }
            // A row without a readable time lies where its partition says: it may have been left out.
            let early = match time {
                Some(time) => time.micros < self.first_micros(*held),
                None => {
                    self.bound.is_some_and(|b| prune::last_day(b) < self.context.asked.first_day)
                }
            };
            self.before += u64::from(early);
            keep.push(!early);
        }
        if keep.iter().all(|k| *k) {
            return self.fill(rows, held, Times::Moments(&times), cache);
        }
        let mask = arrow::array::BooleanArray::from(keep.clone());
        let rows = arrow::compute::filter_record_batch(rows, &mask)
            .map_err(|e| ScanError::Internal { what: e.to_string() })?;
        let kept = |i: &usize| keep.get(*i).copied().unwrap_or(false);
        let indexes: Vec<usize> = (0..keep.len()).filter(kept).collect();
        let held: Vec<u32> = indexes.iter().filter_map(|i| held.get(*i).copied()).collect();
        let times: Vec<_> = indexes.iter().filter_map(|i| times.get(*i).copied()).collect();
        self.fill(&rows, &held, Times::Moments(&times), cache)
    }

    fn fill(
        &mut self,
        rows: &RecordBatch,
        held: &[u32],
        times: Times<'_>,
        cache: &mut EndpointCache,
    ) -> Result<(), ScanError> {
        let (columns, file, count) = (self.columns, self.file, held.len());
        let before = self.batch.len();
        let mut rejects: Vec<Option<Reject>> = held.iter().map(|h| Matches::reject(*h)).collect();

        match times {
            Times::Micros(micros) => {
                self.batch.micros.extend_from_slice(micros);
                if !self.batch.nanos.is_empty() {
                    self.batch.nanos.resize(self.batch.micros.len(), 0);
                }
            }
            Times::Moments(times) => self.times(times, &mut rejects, before),
        }

        let app = columns.app.values(rows, file)?;
        self.batch.app.extend(text_codes(&columns.app, &app, &mut self.batch.app_names, file)?);
        self.scope_sets(rows, held, cache)?;
        self.outcomes(rows, count)?;
        self.people(rows)?;
        self.groups(rows)?;
        self.batch.event.kind = match &columns.event_id {
            Some(bound) => {
                let array = bound.values(rows, file)?;
                let out = &mut self.batch.event;
                ids(bound, &array, &self.context.keyer, file, |key, _| out.push(key))?
            }
            None => None,
        };
        self.numbers(rows, &mut rejects)?;
        self.fields(rows)?;

        if rejects.iter().any(Option::is_some) && self.batch.reject.is_empty() {
            self.batch.reject.resize(before, None);
        }
        if rejects.iter().any(Option::is_some) || !self.batch.reject.is_empty() {
            self.batch.reject.extend(rejects);
        }
        self.batch.unit.resize(before + count, 0);
        self.batch.reserve(self.matches.rows.len());
        Ok(())
    }

    fn times(&mut self, times: &[Option<Moment>], rejects: &mut [Option<Reject>], before: usize) {
        let has_nanos = times.iter().flatten().any(|t| t.nanos != 0);
        if has_nanos && self.batch.nanos.is_empty() {
            self.batch.nanos.resize(before, 0);
        }
        for (time, reject) in times.iter().zip(rejects) {
            let time = time.unwrap_or_else(|| {
                *reject = Some(match reject {
                    Some(Reject::Scope) => Reject::ScopeAndTime,
                    _ => Reject::Time,
                });
                Moment::from_micros(0)
            });
            self.batch.micros.push(time.micros);
            if has_nanos || !self.batch.nanos.is_empty() {
                self.batch.nanos.push(time.nanos);
            }
        }
    }

    fn scope_sets(
        &mut self,
        rows: &RecordBatch,
        held: &[u32],
        cache: &mut EndpointCache,
    ) -> Result<(), ScanError> {
        let calls = match (self.meaning, &self.context.endpoints, &self.columns.endpoint) {
            (Meaning::ByEndpoint, Some(table), Some(endpoint)) => {
                Calls { table, endpoint, method: self.columns.method.as_ref() }
            }
            _ => {
                let mut codes = std::mem::take(&mut self.batch.scopes);
                codes.extend(held.iter().map(|held| match translated(&self.set_codes, *held) {
                    NONE => self.set_code(*held),
                    code => code,
                }));
                self.batch.scopes = codes;
                return Ok(());
            }
        };
        let (endpoints, methods) = calls.texts(rows, self.file)?;
        for (i, held) in held.iter().enumerate() {
            let method = methods.as_ref().filter(|m| !m.is_null(i)).map(|m| m.value(i));
            let permits = if endpoints.is_null(i) {
                None
            } else {
                cache.permits(calls.table, method, endpoints.value(i))
            };
            self.unmatched_endpoints += u64::from(permits.is_none());
            let scopes = self.names(self.matches.sets.get(*held));
            let exercised = match permits {
                Some(permits) => scopes.iter().filter(|s| permits.contains(s)).cloned().collect(),
                None => Vec::new(),
            };
            let code = self.batch.scope_sets.code(&ScopeSet { scopes, exercised });
            self.batch.scopes.push(code);
        }
        Ok(())
    }

    fn outcomes(&mut self, rows: &RecordBatch, count: usize) -> Result<(), ScanError> {
        let rule = &self.context.mapping.status_rule;
        let Some(bound) = &self.columns.status else {
            self.batch.outcome.extend(std::iter::repeat_n(Outcome::Allowed, count));
            return Ok(());
        };
        let array = bound.values(rows, self.file)?;
        if array.data_type().is_integer() {
            let statuses = &mut self.statuses;
            let mut outcome = |number: i64| statuses.outcome(rule, number);
            let values = integers(bound, &array, self.file)?;
            if values.null_count() == 0 {
                self.batch.outcome.extend(values.values().iter().map(|n| outcome(*n)));
            } else {
                let outcomes = values.iter().map(|n| n.map_or_else(|| of_null(rule), &mut outcome));
                self.batch.outcome.extend(outcomes);
            }
            return Ok(());
        }
        if array.data_type().is_floating() {
            // Some writers turn whole numbers into fractions where a column has nulls.
            for value in floats(bound, &array, self.file)? {
                self.batch.outcome.push(match value {
                    None => of_null(rule),
                    Some(v) if v.fract() == 0.0 && in_ranges(rule, v as i64) => Outcome::Allowed,
                    Some(_) => Outcome::Denied,
                });
            }
            return Ok(());
        }
        check_status(rule, bound, array.data_type(), self.file)?;
        let texts = bound.to_text(&array, self.file)?;
        for text in &texts {
            self.batch.outcome.push(match text {
                None => of_null(rule),
                Some(text) => {
                    let text = folded(bound, text);
                    let number = text.trim().parse::<i64>().ok();
                    if has_word(rule, &text) || number.is_some_and(|n| in_ranges(rule, n)) {
                        Outcome::Allowed
                    } else {
                        Outcome::Denied
                    }
                }
            });
        }
        Ok(())
    }

    fn people(&mut self, rows: &RecordBatch) -> Result<(), ScanError> {
        let keyer = &self.context.keyer;
        for (bound, out) in [
            (&self.columns.subject, &mut self.batch.subject),
            (&self.columns.actor, &mut self.batch.actor),
        ] {
            if let Some(bound) = bound {
                let array = bound.values(rows, self.file)?;
                let kind = match plain_keys(bound, &array, keyer, self.file, out)? {
                    Some(kind) => Some(kind),
                    None => ids(bound, &array, keyer, self.file, |key, _| out.push(key))?,
                };
                out.kind = out.kind.or(kind);
            }
        }
        Ok(())
    }

    fn groups(&mut self, rows: &RecordBatch) -> Result<(), ScanError> {
        let Some(bound) = &self.columns.group else { return Ok(()) };
        let keyer = &self.context.keyer;
        let array = bound.values(rows, self.file)?;
        let (keys, own): (&mut KeyColumn, &mut Vec<Option<Box<[u8]>>>) =
            (&mut self.batch.group, &mut self.batch.group_id);
        let first = keys.len();
        let veiled = |key: Option<Key>, text: Option<&str>| {
            let mut bytes = text?.as_bytes().to_vec();
            keyer.veil(key?, &mut bytes);
            Some(bytes.into_boxed_slice())
        };
        let is_text = bound.constant() != Some(None)
            && id_kind(bound, array.data_type(), self.file)? == Some(IdKind::Text);
        if is_text {
            own.resize(first, None);
        }
        let kind = match plain_keys(bound, &array, keyer, self.file, keys)? {
            Some(kind) => Some(kind),
            None => ids(bound, &array, keyer, self.file, |key, text| {
                if is_text {
                    own.push(veiled(key, text));
                }
                keys.push(key);
            })?,
        };
        keys.kind = keys.kind.or(kind);
        if let Some(kind) = kind.filter(|_| keyer.is_keyed() && !is_text) {
            // The key no longer gives the id back.
            let plain = id_texts(bound, &array, kind, self.file)?;
            own.resize(first, None);
            for (i, text) in plain.iter().enumerate() {
                own.push(veiled(keys.get(first + i), text));
            }
        }
        if !own.is_empty() {
            own.resize(keys.len(), None);
        }
        let added = own.iter().skip(first).flatten();
        self.texts += added.map(|id| id.len() as u64 + GROUP_ID).sum::<u64>();
        Ok(())
    }

    fn numbers(
        &mut self,
        rows: &RecordBatch,
        rejects: &mut [Option<Reject>],
    ) -> Result<(), ScanError> {
        if let Some(bound) = &self.columns.weight {
            let values = integers(bound, &bound.values(rows, self.file)?, self.file)?;
            for (value, reject) in values.iter().zip(rejects) {
                if value.is_some_and(|v| v < 0) {
                    reject.get_or_insert(Reject::Weight);
                }
                self.batch.weight.push(value);
            }
        }
        for (bound, out) in [
            (&self.columns.bytes, &mut self.batch.bytes),
            (&self.columns.records, &mut self.batch.records),
        ] {
            if let Some(bound) = bound {
                let array = bound.values(rows, self.file)?;
                if let Some(plain) = plain_integers(&array) {
                    out.extend_plain(plain);
                    continue;
                }
                for value in &integers(bound, &array, self.file)? {
                    out.push(value);
                }
            }
        }
        Ok(())
    }

    fn fields(&mut self, rows: &RecordBatch) -> Result<(), ScanError> {
        let Some(bound) = &self.columns.fields else { return Ok(()) };
        let array = bound.values(rows, self.file)?;
        let encoding = encoding_of(bound, array.data_type(), self.file)?;
        let mut lists: Vec<Option<Vec<String>>> = Vec::with_capacity(rows.num_rows());
        if encoding == Encoding::List && array.data_type().is_nested() {
            let mut ranges = Vec::new();
            let texts = list_rows(bound, &array, self.file, |range| ranges.push(range))?;
            for range in ranges {
                lists.push(range.map(|(from, to)| {
                    (from..to).filter_map(|i| text_at(bound, &texts, i)).collect()
                }));
            }
        } else {
            for text in &bound.to_text(&array, self.file)? {
                lists.push(
                    text.map(|t| split(&folded(bound, t), encoding).map(str::to_string).collect()),
                );
            }
        }
        for list in lists {
            let code = match list {
                None => NONE,
                Some(mut names) => {
                    names.sort();
                    names.dedup();
                    let json = serde_json::to_string(&names)
                        .map_err(|e| ScanError::Internal { what: e.to_string() })?;
                    self.batch.field_lists.code(&json)
                }
            };
            self.batch.fields.push(code);
        }
        Ok(())
    }
}

/// What ids of so many bytes take, with `rows` rows: those of a pack's row group once more as a column and
/// once encoded, while it is written.
fn of_ids(bytes: u64, rows: usize) -> u64 {
    let written = u128::from(bytes) * (rows.min(WRITTEN_ROWS) as u128) / (rows.max(1) as u128);
    bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX).saturating_mul(2))
}

fn text_at(bound: &Bound, texts: &StringArray, i: usize) -> Option<String> {
    (i < texts.len() && !texts.is_null(i)).then(|| folded(bound, texts.value(i)).into_owned())
}
