//! Opens the ledger's packs and counts what they hold.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::account::{check_rejects, cover};
use super::fill::Filled;
use super::prepare::Prepared;
use crate::config::raw::Kind;
use crate::config::{ColumnPlan, RunPlan, SourcePlan};
use crate::error::Error;
use crate::exposure::{self, Exposure, PeopleOf, Rules, Settings, SourceRows};
use crate::impact::SourceCoverage;
use crate::key::IdKind;
use crate::ledger::pack::Kinds;
use crate::ledger::{Ledger, OpenPack, kind_of};
use crate::people::{self, IdRule, MembersPack, People, Residence, ResidencyPack, Workshop};
use crate::scan::Progress;

/// Everything counted, and every row accounted for.
pub struct Counted {
    pub exposure: Exposure,
    pub filled: Vec<Filled>,
    pub coverage: Vec<SourceCoverage>,
    pub group_namespaces: Vec<String>,
    /// What residents of cells refer to.
    pub residences: Vec<Residence>,
    pub tables: Vec<PeopleTable>,
}

/// # Errors
/// Damaged packs, ids of two kinds, sums that overflow, rows that are not conserved, too many rejects.
pub fn count(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    filled: Vec<Filled>,
    progress: &Arc<Progress>,
) -> Result<Counted, Error> {
    let of =
        |f: fn(&SourcePlan) -> &String| prepared.sources.iter().map(move |s| f(s.plan).as_str());
    let (person, person_names) = spaces(of(|s| &s.person_namespace));
    let (group, group_names) = spaces(of(|s| &s.group_namespace));
    let (event, event_names) = spaces(of(|s| &s.event_namespace));
    let person_kinds = one_kind("person", &filled, &person, &person_names, |k| k.person)?;
    one_kind("event", &filled, &event, &event_names, |k| k.event)?;
    let group_kinds = one_kind("group", &filled, &group, &group_names, |k| k.group)?;

    let mut rows = Vec::with_capacity(filled.len());
    for ((source, filled), i) in prepared.sources.iter().zip(&filled).zip(0..) {
        let packs = filled
            .selection
            .packs
            .iter()
            .filter(|(pack, _)| pack.footer.rows > 0)
            .map(|(pack, units)| OpenPack::open(ledger, pack.clone(), units.clone()).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let number = |of: &[usize]| of.get(i).copied().unwrap_or(0);
        rows.push(SourceRows {
            packs,
            asked: Arc::new(source.wanted.asked.clone()),
            units: filled.selection.units.iter().map(|(_, unit)| unit.last_day).collect(),
            person_space: number(&person),
            group_space: number(&group),
            event_space: number(&event),
        });
    }
    let temp = temp_dir(plan)?;
    let number = |of: &[usize]| of.get(plan.registry.people.source).copied().unwrap_or(0);
    let (person_space, group_space) = (number(&person), number(&group));
    let kinds = (
        person_kinds.get(person_space).copied().flatten(),
        group_kinds.get(group_space).copied().flatten(),
    );
    let (people, tables) = people_of(plan, prepared, ledger, kinds, &temp, progress)?;
    let has_people = prepared.memberships.is_some() || prepared.residency.is_some();
    let settings = Settings {
        rules: Rules::new(&prepared.registry, plan.as_of, plan.lookback_days),
        keyer: &plan.keyer,
        group_kinds,
        groups_limit: plan.groups_limit,
        people: has_people.then_some(PeopleOf {
            people: &people,
            has_members: prepared.memberships.is_some(),
            has_residency: prepared.residency.is_some(),
            person_space,
            group_space,
        }),
        budget: prepared.budget,
        threads: plan.threads,
        temp: &temp,
        stop: &progress.stop,
    };
    let exposure = exposure::count(&rows, &settings)?;
    let coverage = prepared
        .sources
        .iter()
        .zip(&filled)
        .enumerate()
        .map(|(i, (source, filled))| cover(i, source, filled, &exposure))
        .collect::<Result<Vec<_>, Error>>()?;
    check_rejects(plan, prepared, &filled, &exposure)?;
    let residences = people.residency.map(|pack| pack.residences).unwrap_or_default();
    Ok(Counted { exposure, filled, coverage, group_namespaces: group_names, residences, tables })
}

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

/// Opens the packs of members and residences; those that are not there yet are made.
fn people_of(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    (person, group): (Option<IdKind>, Option<IdKind>),
    temp: &std::path::Path,
    progress: &Arc<Progress>,
) -> Result<(People, Vec<PeopleTable>), Error> {
    let mapping = prepared.sources.get(plan.registry.people.source).map(|s| &s.plan.mapping);
    let folds = |column: Option<&ColumnPlan>| column.is_some_and(|column| column.fold_case);
    let person_column = mapping.and_then(|m| m.subject.as_ref().or(m.actor.as_ref()));
    let group_column = mapping.and_then(|m| m.group.as_ref());
    let shop = Workshop {
        shelf: people::shelf(ledger.store().clone()),
        keyer: &plan.keyer,
        zone: plan.registry.zone,
        temp,
        sort_buffer: prepared.budget.sort_buffer,
        threads: plan.threads,
        stop: &progress.stop,
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

/// Numbers for names, in the order of the names: ties between ids of two namespaces go by it.
fn spaces<'a>(names: impl Iterator<Item = &'a str> + Clone) -> (Vec<usize>, Vec<String>) {
    let known: BTreeSet<&str> = names.clone().collect();
    let numbers = names.map(|name| known.range(..name).count()).collect();
    (numbers, known.into_iter().map(str::to_string).collect())
}

/// The folder for temporary files; one can be made there.
fn temp_dir(plan: &RunPlan) -> Result<PathBuf, Error> {
    let folder = plan.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    tempfile::tempfile_in(&folder).map_err(|error| Error::Folder {
        folder: folder.display().to_string(),
        reason: format!(
            "no temporary files can be made there: {error}\nname another with run.temp_dir"
        ),
    })?;
    Ok(folder)
}

/// The kind of ids in each namespace; two kinds in one are an error.
fn one_kind(
    role: &'static str,
    filled: &[Filled],
    numbers: &[usize],
    names: &[String],
    kind: impl Fn(&Kinds) -> Option<IdKind> + Copy,
) -> Result<Vec<Option<IdKind>>, Error> {
    let mut found: Vec<Option<(IdKind, String)>> = vec![None; names.len()];
    for (filled, number) in filled.iter().zip(numbers) {
        for (kind, file) in kind_of(&filled.selection.packs, kind) {
            let Some(slot) = found.get_mut(*number) else { continue };
            match slot {
                Some((known, first)) if *known != kind => {
                    return Err(Error::MixedKinds {
                        role,
                        namespace: names.get(*number).cloned().unwrap_or_default(),
                        first: format!("{known} in {first}"),
                        second: format!("{kind} in {file}"),
                    });
                }
                Some(_) => {}
                None => *slot = Some((kind, file)),
            }
        }
    }
    Ok(found.into_iter().map(|k| k.map(|(kind, _)| kind)).collect())
}
