//! Many packs to few: however many runs came before, a run opens at most [`FAN_IN`] packs of a source, fewer where the memory limit holds fewer,
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

use super::call::CallBits;
use super::merge::{Input, Merge, Merged, Names};
use super::pack::{self, Common, Kinds, PackFooter, PackNames, PackUnit, PersonColumn, Picked};
use super::read::OpenPack;
use super::store::{Ledger, Pack};
use super::write::{GROUP_ROWS, PackEncoder};
use super::{FAN_IN, LedgerError};
use crate::key::IdKind;
use crate::scan::batch::{AccessBatch, NONE, Outcome};

/// A pack, and for each of its units whether this run uses it ([`NONE`] where not).
type Selected = (Pack, Vec<u32>);

/// Rows of each pack decoded at once. Rows with equal keys come in an order that depends on it, so that
/// it must not depend on the memory limit: two runs that merge the same packs write the same bytes.
const BATCH_ROWS: usize = 1024;

/// Merges some of `selected` into one pack, which is returned; `None` where they are `most` or fewer, no
/// two of them can be merged, or `stop` was raised.
///
/// # Errors
/// Storage failures and damaged packs.
pub fn compact(
    ledger: &Ledger,
    selected: &[Selected],
    most: usize,
    stop: &AtomicBool,
) -> Result<Option<Pack>, LedgerError> {
    let chosen = choose(selected, most.clamp(2, FAN_IN));
    let (Some((first, _)), Some(kinds)) = (chosen.first(), common_kinds(&chosen)) else {
        return Ok(None);
    };
    let (units, maps) = number_units(&chosen);
    let mut footer = PackFooter {
        name: String::new(),
        lineage: first.footer.lineage.clone(),
        asked: first.footer.asked.clone(),
        kinds,
        person: first.footer.person,
        rows: 0,
        call: Default::default(),
        units,
        checksums: Vec::new(),
        names_checksum: String::new(),
    };
    let packs = chosen
        .iter()
        .zip(maps)
        .map(|((pack, _), map)| OpenPack::open(ledger, pack.clone(), map).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    // The bytes follow from the merged packs: another run that merges the same makes the same pack.
    let merged: Vec<&str> = chosen.iter().map(|(pack, _)| pack.name.as_str()).collect();
    let name = footer.name_from(&merged)?;
    footer.name.clone_from(&name);
    // The rows are counted before they are written: the footer's place is at the end.
    footer.rows = footer.units.iter().map(|u| u.record.kept).sum();
    let person = footer.person;
    let asked = [Arc::new(footer.asked.clone())];
    let inputs = [Input { source: 0, group_space: 0, packs }];
    let mut merge = Merge::new(&inputs, &asked, &(0..=u64::MAX), BATCH_ROWS, Names::default())?;
    let [Input { packs, .. }] = &inputs;
    // All names are known: those of a pack are taken in before its rows.
    let named = &merge.names;
    let Some(call) = CallBits::of(footer.units.len(), named.apps.len(), named.sets.len()) else {
        return Ok(None);
    };
    footer.call = call;
    let schema = union(packs, call);
    let mut out = ledger.create(&name);
    let mut encoder = PackEncoder::new(schema.clone(), footer)?;
    let mut group = AccessBatch::default();
    while let Some(block) = merge.next_block()? {
        for merged in block.rows() {
            push(&mut group, &merged);
            if group.len() == GROUP_ROWS {
                out.write(encoder.write(&drain(&mut group, person, call, &schema)?)?)?;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    if !group.is_empty() {
        out.write(encoder.write(&drain(&mut group, person, call, &schema)?)?)?;
    }
    let names = &merge.names;
    let names = PackNames::new(&names.apps, &names.sets, &names.fields);
    let (footer, tail) = encoder.finish(&names)?;
    out.write(tail)?;
    out.finish(footer).map(Some)
}

/// The smallest packs of the most common shape, at most `most`.
fn choose(selected: &[Selected], most: usize) -> Vec<&Selected> {
    if selected.len() <= most {
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
    packs.truncate((selected.len() - most / 2).min(most));
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

/// Every column that one of the packs has, and calls of so many bits.
fn union(packs: &[Arc<OpenPack>], call: CallBits) -> SchemaRef {
    let mut fields = vec![Field::new("call", call.data_type(), false)];
    for pack in packs {
        for field in pack.schema().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field.as_ref().clone().with_nullable(true));
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// Appends a merged row; its codes stay the merge's.
fn push(out: &mut AccessBatch, merged: &Merged<'_>) {
    let row = merged.row();
    out.unit.push(merged.unit());
    out.micros.push(row.at.micros);
    out.nanos.push(row.at.nanos);
    out.app.push(row.app);
    out.scopes.push(row.set);
    out.outcome.push(row.outcome);
    out.reject.push(row.reject);
    out.subject.push(row.subject);
    out.actor.push(row.actor);
    out.group.push(row.group);
    out.group_id.push(row.group_id);
    out.weight.push(row.weight);
    out.bytes.push(row.bytes);
    out.records.push(row.records);
    out.fields.push(row.fields);
    out.event.push(row.event);
}

/// Takes the rows out as the columns of `schema`; a column that only other packs have is null here.
fn drain(
    rows: &mut AccessBatch,
    person: PersonColumn,
    call: CallBits,
    schema: &SchemaRef,
) -> Result<RecordBatch, LedgerError> {
    let hi = |row| person.keys(rows).and_then(|k| k.get(row)).map_or(0, |k| k.hi);
    let picked = Picked {
        people: (0..rows.len()).map(hi).collect(),
        rows: Common::all(rows, call).collect(),
        unknown: rows.outcome.contains(&Outcome::Unknown),
    };
    let own = pack::to_arrow(rows, person, call, picked)?;
    let columns = schema
        .fields()
        .iter()
        .map(|field| match own.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => new_null_array(field.data_type(), rows.len()),
        })
        .collect();
    rows.clear_rows();
    RecordBatch::try_new(schema.clone(), columns)
        .map_err(|e| LedgerError::Internal { what: e.to_string() })
}
