//! Many packs to few: however many runs came before, a run opens at most [`FAN_IN`] packs of a source,
//! unless packs overlap so that merging does not pay.
//!
//! The smallest packs are merged first, and half the fan-in is left alone, so that a row is written
//! anew a logarithmic number of times. Nothing is removed: another run may be reading the old packs.
//! `state gc` does that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::new_null_array;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::merge::{Input, Merge, Merged, Names, Row};
use super::pack::{self, Kinds, PackFooter, PackUnit};
use super::read::OpenPack;
use super::store::{Ledger, Pack};
use super::write::{GROUP_ROWS, PackEncoder};
use super::{FAN_IN, LedgerError};
use crate::key::IdKind;
use crate::scan::batch::{AccessBatch, NONE};

/// A pack, and for each of its units whether this run uses it ([`NONE`] where not).
type Selected = (Pack, Vec<u32>);

/// Merges some of `selected` into one pack, which is returned; `None` where they are few enough, no
/// two of them can be merged, or `stop` was raised. `batch_rows` bounds what each open pack decodes
/// at once.
///
/// # Errors
/// Storage failures and damaged packs.
pub fn compact(
    ledger: &Ledger,
    selected: &[Selected],
    batch_rows: usize,
    stop: &AtomicBool,
) -> Result<Option<Pack>, LedgerError> {
    let chosen = choose(selected);
    let (Some((first, _)), Some(kinds)) = (chosen.first(), common_kinds(&chosen)) else {
        return Ok(None);
    };
    let (units, maps) = number_units(&chosen);
    let mut footer = PackFooter {
        lineage: first.footer.lineage.clone(),
        asked: first.footer.asked.clone(),
        kinds,
        person: first.footer.person,
        rows: 0,
        units,
        checksums: Vec::new(),
    };
    let packs = chosen
        .iter()
        .zip(maps)
        .map(|((pack, _), map)| OpenPack::open(ledger, pack.clone(), map).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    // The bytes follow from the merged packs: another run that merges the same makes the same pack.
    let merged: Vec<&str> = chosen.iter().map(|(pack, _)| pack.name.as_str()).collect();
    let name = footer.name(&merged)?;
    // The rows are counted before they are written: the footer's place is at the end.
    footer.rows = footer.units.iter().map(|u| u.record.kept).sum();
    let schema = union(&packs);
    let asked = [Arc::new(footer.asked.clone())];
    let inputs = [Input { source: 0, group_space: 0, packs }];
    let mut merge = Merge::new(&inputs, &asked, &(0..=u64::MAX), batch_rows, Names::default())?;
    let mut out = ledger.upload(&name)?;
    let mut encoder = PackEncoder::new(schema.clone(), footer)?;
    let mut group = Group::default();
    while let Some(merged) = merge.next_row()? {
        group.push(&merged);
        if group.rows.len() == GROUP_ROWS {
            out.write(encoder.write(&group.drain(&schema)?)?)?;
            if stop.load(Ordering::Relaxed) {
                out.abort();
                return Ok(None);
            }
        }
    }
    if !group.rows.is_empty() {
        out.write(encoder.write(&group.drain(&schema)?)?)?;
    }
    let (footer, tail) = encoder.finish()?;
    out.write(tail)?;
    let size = out.finish()?;
    Ok(Some(Pack { name, size, footer }))
}

/// The smallest packs of the most common shape, at most [`FAN_IN`].
fn choose(selected: &[Selected]) -> Vec<&Selected> {
    if selected.len() <= FAN_IN {
        return Vec::new();
    }
    let mut shapes: BTreeMap<String, Vec<&Selected>> = BTreeMap::new();
    for one in selected {
        let footer = &one.0.footer;
        // Plain data has a text; packs of another shape cannot stand in one file.
        let shape = serde_json::to_string(&(&footer.asked, footer.person)).unwrap_or_default();
        shapes.entry(shape).or_default().push(one);
    }
    let mut packs = shapes.into_values().max_by_key(Vec::len).unwrap_or_default();
    packs.sort_by(|a, b| (a.0.size, &a.0.name).cmp(&(b.0.size, &b.0.name)));
    packs.truncate((selected.len() - FAN_IN / 2).min(FAN_IN));
    if packs.len() < 2 { Vec::new() } else { packs }
}

/// The kinds of the ids in all of `packs`; `None` where two contradict each other, which the run
/// reports by name.
fn common_kinds(packs: &[&Selected]) -> Option<Kinds> {
    let one = |pick: fn(&Kinds) -> Option<IdKind>| {
        let mut seen = packs.iter().filter_map(|(pack, _)| pick(&pack.footer.kinds));
        match seen.next() {
            Some(first) => seen.all(|kind| kind == first).then_some(Some(first)),
            None => Some(None),
        }
    };
    Some(Kinds { person: one(|k| k.person)?, group: one(|k| k.group)?, event: one(|k| k.event)? })
}

/// The units that the run uses, sorted, and for each pack the positions of its own among them.
fn number_units(packs: &[&Selected]) -> (Vec<PackUnit>, Vec<Vec<u32>>) {
    let used = |at: &u32| *at != NONE;
    let mut all: Vec<(usize, usize, &PackUnit)> = packs
        .iter()
        .enumerate()
        .flat_map(|(p, (pack, map))| {
            let units = pack.footer.units.iter().zip(map).enumerate();
            units.filter(move |(_, (_, at))| used(at)).map(move |(u, (unit, _))| (p, u, unit))
        })
        .collect();
    all.sort_by(|a, b| (&a.2.file, a.2.record.row_group).cmp(&(&b.2.file, b.2.record.row_group)));
    let mut maps: Vec<Vec<u32>> =
        packs.iter().map(|(pack, _)| vec![NONE; pack.footer.units.len()]).collect();
    let mut units = Vec::with_capacity(all.len());
    for (at, (pack, unit, record)) in all.into_iter().enumerate() {
        if let Some(slot) = maps.get_mut(pack).and_then(|map| map.get_mut(unit)) {
            *slot = u32::try_from(at).unwrap_or(NONE);
        }
        units.push(record.clone());
    }
    (units, maps)
}

/// Every column that one of the packs has.
fn union(packs: &[Arc<OpenPack>]) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    for pack in packs {
        for field in pack.schema().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field.as_ref().clone().with_nullable(true));
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// The rows of one row group in the making, and what their codes mean.
#[derive(Default)]
struct Group {
    rows: AccessBatch,
    apps: Codes,
    sets: Codes,
    fields: Codes,
}

/// Codes of the merge's lists in the group's, each looked up once.
#[derive(Default)]
struct Codes(Vec<u32>);

impl Codes {
    fn get(&mut self, code: u32, own: impl FnOnce() -> u32) -> u32 {
        let Some(index) = usize::try_from(code).ok().filter(|_| code != NONE) else { return NONE };
        if self.0.len() <= index {
            self.0.resize(index + 1, NONE);
        }
        match self.0.get_mut(index) {
            Some(slot) if *slot == NONE => {
                *slot = own();
                *slot
            }
            Some(slot) => *slot,
            None => NONE,
        }
    }
}

impl Group {
    fn push(&mut self, merged: &Merged<'_>) {
        let (names, row) = (merged.names, merged.row());
        let Row { at, app, set, outcome, reject, subject, actor, group, group_id, .. } = row;
        let out = &mut self.rows;
        out.unit.push(merged.unit());
        out.micros.push(at.micros);
        out.nanos.push(at.nanos);
        let apps = &mut out.app_names;
        out.app
            .push(self.apps.get(app, || names.apps.name(app).map_or(NONE, |name| apps.code(name))));
        let sets = &mut out.scope_sets;
        out.scopes.push(self.sets.get(set, || {
            let known = usize::try_from(set).ok().and_then(|i| names.sets.sets().get(i));
            known.map_or(NONE, |known| sets.code(known.clone()))
        }));
        out.outcome.push(outcome);
        out.reject.push(reject);
        out.subject.push(subject);
        out.actor.push(actor);
        out.group.push(group);
        out.group_id.push(group_id);
        out.weight.push(row.weight);
        out.bytes.push(row.bytes);
        out.records.push(row.records);
        let lists = &mut out.field_lists;
        out.fields.push(
            self.fields
                .get(row.fields, || names.fields.name(row.fields).map_or(NONE, |l| lists.code(l))),
        );
        out.event.push(row.event);
    }

    /// The rows as the columns of `schema`; a column that only other groups have is null here.
    fn drain(&mut self, schema: &SchemaRef) -> Result<RecordBatch, LedgerError> {
        let rows = std::mem::take(self).rows;
        let order: Vec<u32> = (0..).take(rows.len()).collect();
        let own = pack::to_arrow(&rows, &pack::Small::of(&rows), &order)?;
        let columns = schema
            .fields()
            .iter()
            .map(|field| match (own.column_by_name(field.name()), field.name().as_str()) {
                (Some(column), _) => column.clone(),
                (None, name) => match own.column_by_name("scopes") {
                    // All scopes of these rows were exercised.
                    Some(scopes) if name == "exercised" => scopes.clone(),
                    _ => new_null_array(field.data_type(), rows.len()),
                },
            })
            .collect();
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|e| LedgerError::Internal { what: e.to_string() })
    }
}
