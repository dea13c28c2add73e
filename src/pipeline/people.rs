//! Members and residences as packs, with ids as those of the log.

use std::sync::Arc;

use super::prepare::{IdReading, Prepared};
use crate::config::RunPlan;
use crate::config::raw::Kind;
use crate::error::Error;
use crate::key::IdKind;
use crate::ledger::Ledger;
use crate::people::{self, IdRule, MembersPack, People, ResidencyPack, Workshop};
use crate::scan::Progress;

/// What was found in a table of people, and what became of it: for the manifest.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PeopleTable {
    pub role: &'static str,
    pub pack: String,
    pub rows: u64,
    /// Memberships that meet another of the same person and group, and those that end where they begin.
    pub overlapping: Option<u64>,
    pub empty: Option<u64>,
}

/// Opens the packs of members and residences; those that are not there yet are made, unless the ledger is only
/// read.
///
/// # Errors
/// Tables that cannot be used; storage failures.
pub fn people_of(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    (person, group): (Option<IdKind>, Option<IdKind>),
    temp: &std::path::Path,
    progress: &Arc<Progress>,
) -> Result<(People, Vec<PeopleTable>), Error> {
    let reading = prepared.sources.get(plan.registry.people.source).map(|s| &s.reading);
    let person_column = reading.and_then(|reading| reading.person);
    let group_column = reading.and_then(|reading| reading.group);
    let folds = |column: Option<IdReading>| column.is_some_and(|column| column.folds);
    let shop = Workshop {
        shelf: people::shelf(ledger.store().clone()),
        keyer: &plan.keyer,
        zone: plan.registry.zone,
        temp,
        sort_buffer: prepared.budget.sort_buffer,
        memory_limit: plan.memory_limit,
        threads: plan.threads,
        makes: !ledger.is_read_only(),
        stop: &progress.stop,
        effort: &progress.effort,
    };
    let mut people = People::default();
    let mut tables = Vec::new();
    // Where the log names nobody, whatever the tables hold can only meet each other.
    let declared = person_column.and_then(|column| column.kind).map(|kind| match kind {
        Kind::Uuid => IdKind::Uuid,
        Kind::Text => IdKind::Text,
    });
    let mut kind = person.or(declared);
    for input in [&prepared.memberships, &prepared.residency].into_iter().flatten() {
        if kind.is_none() {
            kind = input.kind_of("subject")?;
        }
    }
    let Some(kind) = kind else { return Ok((people, tables)) };
    let person = IdRule { kind, folds: folds(person_column) };
    // Where it names no group, none was read.
    let group = group.map(|kind| IdRule { kind, folds: folds(group_column) });
    if let (Some(input), Some(group)) = (&prepared.memberships, group) {
        let pack = MembersPack::of(input, &person, &group, &shop)?;
        tables.push(PeopleTable {
            role: "memberships",
            pack: pack.name.clone(),
            rows: pack.about.rows,
            overlapping: Some(pack.about.overlapping),
            empty: Some(pack.about.empty),
        });
        people.members = Some(pack);
    }
    if let Some(input) = &prepared.residency {
        let pack = ResidencyPack::of(input, &person, &shop)?;
        tables.push(PeopleTable {
            role: "residency",
            pack: pack.name.clone(),
            rows: pack.rows,
            overlapping: None,
            empty: None,
        });
        people.residency = Some(pack);
    }
    Ok((people, tables))
}
