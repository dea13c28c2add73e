//! Opens the ledger's packs and counts what they hold.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::Observer;
use super::account::cover;
use super::fill::Filled;
use super::people::{PeopleTable, people_of};
use super::prepare::{Prepared, Source};
use crate::config::{RunPlan, SourcePlan};
use crate::error::Error;
use crate::exposure::kept::{Keep, KeptCount, most_bytes, name_of};
use crate::exposure::{self, Exposure, PeopleOf, Rules, Settings, SourceRows};
use crate::impact::SourceCoverage;
use crate::key::IdKind;
use crate::ledger::pack::Kinds;
use crate::ledger::{Ledger, OpenPack, Selection, counted, kind_of};
use crate::people::{People, Residence};
use crate::publish::sha256;
use crate::scan::{Progress, UnitRecord};

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

impl Counted {
    /// Whether no file was left out.
    pub fn is_complete(&self) -> bool {
        self.filled.iter().all(|filled| filled.unreadable.is_empty())
    }
}

/// The ledger's rows and the tables of people, opened; what a count and a list have in common.
pub struct Opened {
    pub rows: Vec<SourceRows>,
    pub people: People,
    tables: Vec<PeopleTable>,
    /// Whether the registry has members, and residences.
    has: (bool, bool),
    /// Names of namespaces; sources refer to them by number.
    pub person_namespaces: Vec<String>,
    group_namespaces: Vec<String>,
    group_kinds: Vec<Option<IdKind>>,
    /// Namespaces of the ids in the tables of people.
    person_space: usize,
    group_space: usize,
    temp: PathBuf,
}

impl Opened {
    /// # Errors
    /// Damaged packs, ids of two kinds, tables of people that cannot be used.
    pub fn open(
        plan: &RunPlan,
        prepared: &Prepared<'_>,
        ledger: &Ledger,
        filled: &[Filled],
        progress: &Arc<Progress>,
    ) -> Result<Self, Error> {
        let of = |f: fn(&SourcePlan) -> &String| {
            prepared.sources.iter().map(move |s| f(s.plan).as_str())
        };
        let (person, person_namespaces) = spaces(of(|s| &s.person_namespace));
        let (group, group_namespaces) = spaces(of(|s| &s.group_namespace));
        let (event, event_names) = spaces(of(|s| &s.event_namespace));
        let person_kinds = one_kind("person", filled, &person, &person_namespaces, |k| k.person)?;
        one_kind("event", filled, &event, &event_names, |k| k.event)?;
        let group_kinds = one_kind("group", filled, &group, &group_namespaces, |k| k.group)?;

        let rows = open_rows(prepared, ledger, filled.iter().map(|filled| &filled.selection))?;
        prepared.budget.prepare_to_count(rows_in(&rows));
        let temp = temp_dir(plan)?;
        let number = |of: &[usize]| of.get(plan.registry.people.source).copied().unwrap_or(0);
        let (person_space, group_space) = (number(&person), number(&group));
        let kinds = (
            person_kinds.get(person_space).copied().flatten(),
            group_kinds.get(group_space).copied().flatten(),
        );
        let (people, tables) = people_of(plan, prepared, ledger, kinds, &temp, progress)?;
        let has = (prepared.memberships.is_some(), prepared.residency.is_some());
        Ok(Self {
            rows,
            people,
            tables,
            has,
            person_namespaces,
            group_namespaces,
            group_kinds,
            person_space,
            group_space,
            temp,
        })
    }

    pub fn settings<'a>(
        &'a self,
        plan: &'a RunPlan,
        prepared: &Prepared<'_>,
        progress: &'a Progress,
    ) -> Settings<'a> {
        let (has_members, has_residency) = self.has;
        Settings {
            rules: Rules::new(&prepared.registry, plan.as_of, plan.lookback_days),
            keyer: &plan.keyer,
            group_kinds: self.group_kinds.clone(),
            groups_limit: plan.groups_limit,
            people: (has_members || has_residency).then_some(PeopleOf {
                people: &self.people,
                has_members,
                has_residency,
                person_space: self.person_space,
                group_space: self.group_space,
            }),
            budget: prepared.budget,
            threads: plan.threads,
            temp: &self.temp,
            stop: &progress.stop,
            effort: &progress.effort,
        }
    }

    /// Counts what has changed since the count that is kept, and keeps the new one.
    ///
    /// # Errors
    /// As [`Self::count`].
    fn count_kept(
        &self,
        plan: &RunPlan,
        prepared: &Prepared<'_>,
        ledger: &Ledger,
        filled: Vec<Filled>,
        progress: &Progress,
        observer: &dyn Observer,
    ) -> Result<Counted, Error> {
        if rows_in(&self.rows) < plan.keep_counts_from {
            return self.count(plan, prepared, filled, progress);
        }
        let of = self.told(plan, prepared);
        let name = sha256(of.as_bytes()).get(..32).unwrap_or_default().to_string();
        let settings = self.settings(plan, prepared, progress);
        let rules = name_of(&settings.rules);
        let base = match plan.recount {
            true => None,
            // It only saves time.
            false => {
                ledger.kept_count(&name, &rules, most_bytes(&prepared.budget)).unwrap_or_else(|e| {
                    observer.warn(&format!(
                        "the count that is kept was not read, and everything is counted: {e}"
                    ));
                    None
                })
            }
        };
        let units = prepared.sources.iter().zip(&filled);
        let units = units.map(|(source, filled)| unit_names(source, &filled.selection)).collect();
        let keep = Keep { of, units, base: base.as_deref(), always: plan.keep_counts_from == 0 };
        let KeptCount { exposure, file, changed, misfit } =
            exposure::kept::count_kept(&self.rows, &settings, &keep)?;
        if misfit {
            observer.warn(&format!(
                "the count that is kept in {} does not fit to the ledger; everything was counted anew",
                ledger.store().shown(&counted(&name, "*"))
            ));
        }
        if let Some(changed) = changed {
            progress.effort.recounted.store(changed.saturating_add(1), Ordering::Relaxed);
        }
        if let Some(file) = file
            && let Err(e) = ledger.keep_count(&name, &rules, file)
        {
            observer
                .warn(&format!("the count was not kept, and the next run counts everything: {e}"));
        }
        self.counted(plan, prepared, filled, exposure)
    }

    /// What must be the same for a count to serve another: how rows are read, and which namespaces there are.
    fn told(&self, plan: &RunPlan, prepared: &Prepared<'_>) -> String {
        let sources = prepared.sources.iter().zip(&self.rows).map(|(source, rows)| {
            let asked = source.wanted.asked.scopes.iter().map(|scope| &scope.name);
            json!({
                "name": source.plan.name,
                "url": source.plan.url.to_string(),
                "lineage": source.wanted.lineage,
                "asked": asked.collect::<Vec<_>>(),
                "spaces": [rows.person_space, rows.group_space, rows.event_space],
            })
        });
        json!({
            "sources": sources.collect::<Vec<_>>(),
            "group_namespaces": self.group_namespaces,
            "group_kinds": self.group_kinds,
            "groups": plan.groups_limit,
        })
        .to_string()
    }

    /// Counts what is open.
    ///
    /// # Errors
    /// Damaged packs, sums that overflow, rows that are not conserved.
    pub fn count(
        &self,
        plan: &RunPlan,
        prepared: &Prepared<'_>,
        filled: Vec<Filled>,
        progress: &Progress,
    ) -> Result<Counted, Error> {
        let exposure = exposure::count(&self.rows, &self.settings(plan, prepared, progress))?;
        self.counted(plan, prepared, filled, exposure)
    }

    fn counted(
        &self,
        plan: &RunPlan,
        prepared: &Prepared<'_>,
        filled: Vec<Filled>,
        exposure: Exposure,
    ) -> Result<Counted, Error> {
        let coverage = prepared
            .sources
            .iter()
            .zip(&filled)
            .enumerate()
            .map(|(i, (source, filled))| cover(plan.as_of, i, source, filled, &exposure))
            .collect::<Result<Vec<_>, Error>>()?;
        let residences = self.people.residency.as_ref().map(|pack| pack.residences.clone());
        Ok(Counted {
            exposure,
            filled,
            coverage,
            group_namespaces: self.group_namespaces.clone(),
            residences: residences.unwrap_or_default(),
            tables: self.tables.clone(),
        })
    }
}

/// # Errors
/// As [`Opened::open`] and [`Opened::count`].
pub fn count(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    filled: Vec<Filled>,
    progress: &Arc<Progress>,
) -> Result<Counted, Error> {
    Opened::open(plan, prepared, ledger, &filled, progress)?.count(plan, prepared, filled, progress)
}

/// As [`count`], but that what has not changed since the count that is kept is taken from there.
///
/// # Errors
/// As [`Opened::open`] and [`Opened::count`].
pub fn count_kept(
    plan: &RunPlan,
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    filled: Vec<Filled>,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Counted, Error> {
    Opened::open(plan, prepared, ledger, &filled, progress)?
        .count_kept(plan, prepared, ledger, filled, progress, observer)
}

/// Names of the units of a selection: of what was read, of what became of its rows before they were counted, and of what
/// was asked for when they were. By other first days other rows are kept, and as many, perhaps.
fn unit_names(source: &Source<'_>, selection: &Selection) -> Vec<(u64, u64)> {
    let mut asked: Vec<Option<usize>> = vec![None; selection.units.len()];
    for (number, (_, positions)) in selection.packs.iter().enumerate() {
        for at in positions {
            if let Some(slot) = usize::try_from(*at).ok().and_then(|at| asked.get_mut(at)) {
                *slot = Some(number);
            }
        }
    }
    let packs: Vec<String> =
        selection.packs.iter().map(|(pack, _)| json!(pack.footer.asked).to_string()).collect();
    let name = |((file, record), pack): (&(usize, UnitRecord), Option<usize>)| {
        let asked = pack.and_then(|pack| packs.get(pack));
        let told = json!([source.wanted.files.get(*file), record, asked]).to_string();
        let name = xxh3_128(told.as_bytes());
        // Its halves.
        ((name >> 64) as u64, name as u64)
    };
    selection.units.iter().zip(asked).map(name).collect()
}

/// The rows that selections name, with the numbers of their namespaces.
///
/// # Errors
/// Storage failures and damaged packs.
fn open_rows<'a>(
    prepared: &Prepared<'_>,
    ledger: &Ledger,
    selections: impl Iterator<Item = &'a Selection>,
) -> Result<Vec<SourceRows>, Error> {
    let of =
        |f: fn(&SourcePlan) -> &String| prepared.sources.iter().map(move |s| f(s.plan).as_str());
    let (person, _) = spaces(of(|s| &s.person_namespace));
    let (group, _) = spaces(of(|s| &s.group_namespace));
    let (event, _) = spaces(of(|s| &s.event_namespace));
    let mut rows = Vec::with_capacity(prepared.sources.len());
    for ((source, selection), i) in prepared.sources.iter().zip(selections).zip(0..) {
        let packs = selection
            .packs
            .iter()
            .filter(|(pack, _)| pack.footer.rows > 0)
            .map(|(pack, units)| OpenPack::open(ledger, pack.clone(), units.clone()).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let number = |of: &[usize]| of.get(i).copied().unwrap_or(0);
        rows.push(SourceRows {
            name: source.plan.name.clone(),
            packs,
            asked: Arc::new(source.wanted.asked.clone()),
            units: selection.units.iter().map(|(_, unit)| unit.last_day).collect(),
            person_space: number(&person),
            group_space: number(&group),
            event_space: number(&event),
        });
    }
    Ok(rows)
}

/// How many rows their packs have.
fn rows_in(sources: &[SourceRows]) -> u64 {
    sources.iter().flat_map(|source| &source.packs).map(|open| open.pack.footer.rows).sum()
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
    tempfile::tempfile_in(&folder).map_err(|error| {
        let reason = format!(
            "no temporary files can be made there: {error}\nname another with run.temp_dir"
        );
        Error::unwritable(folder.display().to_string(), reason, &error)
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
