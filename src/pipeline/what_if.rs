//! What an enforcement at another moment would have meant. Nothing is published; the ledger is used, and
//! filled where it lacks rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::account::check_rejects;
use super::count::count;
use super::fill::{Filled, files_left_out, filled_ledger};
use super::prepare::{Prepared, prepare_with};
use super::{Observer, open_output};
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::{Cell, Exposure, Grain, Measures, Window};
use crate::ledger::Ledger;
use crate::moment::Moment;
use crate::registry::{App, Registry, Scope};
use crate::scan::Progress;
use crate::store::Io;

/// A scope, and from when on no app may use it.
#[derive(Clone, Debug)]
pub struct Question {
    pub scope: String,
    /// When it would be restricted.
    pub at: Moment,
    /// How much longer every app could have used it, in microseconds.
    pub grace: i64,
}

/// Who and what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub apps: u64,
    /// Known developers of these apps.
    pub developers: u64,
    pub requests_allowed: i64,
    pub subjects_observed: u64,
    /// Null without registry.memberships.
    pub subjects_upper_bound: Option<u64>,
    /// Events of which nobody can say whom they reached: where there are any, the bound above is none.
    pub subjects_unknown_rows: u64,
    pub groups: u64,
}

/// One app that would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenApp {
    /// Null for events that name no app.
    pub app_id: Option<String>,
    pub app_name: Option<String>,
    pub developer_id: Option<String>,
    pub requests_allowed: i64,
    pub subjects_observed: u64,
    pub last_access: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    pub scope: String,
    pub enforced_at: String,
    pub as_of: String,
    /// When the registry restricts the scope; null where it does not.
    pub restricted_at: Option<String>,
    /// Allowed use from the enforcement on, up to as_of.
    pub would_break: Figures,
    /// People and groups that were reached since the restriction, and only after the enforcement; null
    /// where the registry does not restrict the scope before the enforcement.
    pub subjects_spared: Option<u64>,
    pub groups_spared: Option<u64>,
    /// Of declared days, those with rows in readable files, in percent.
    pub coverage_pct: Option<f64>,
    /// Files that could not be read: with `--allow-incomplete` none of their rows counts.
    pub files_left_out: u64,
    /// Most requests first.
    pub apps: Vec<BrokenApp>,
}

/// A scope of which nothing matters but when it is restricted.
fn unnamed(restricted_at: Moment) -> Scope {
    Scope { restricted_at, data_fields: Vec::new(), special_fields: None }
}

/// Counts [from, until) as if the scope had been restricted at `from`.
fn between(
    plan: &RunPlan,
    prepared: &mut Prepared<'_>,
    ledger: &Ledger,
    filled: &[Filled],
    progress: &Arc<Progress>,
    (scope, from, until): (&str, Moment, Moment),
) -> Result<(Exposure, Option<f64>), Error> {
    let restricted = unnamed(from);
    prepared.registry.scopes = BTreeMap::from([(scope.to_string(), restricted)]);
    let plan = RunPlan { as_of: until, ..plan.clone() };
    let counted = count(&plan, prepared, ledger, filled.to_vec(), progress)?;
    check_rejects(&plan, prepared, &counted.filled, &counted.exposure)?;
    let coverage = crate::impact::coverage_pct(&counted.coverage);
    Ok((counted.exposure, coverage))
}

fn measures(cell: &Cell) -> Option<&Measures> {
    Some(cell.windows.get(Window::AfterRestriction)).filter(|m| m.events > 0)
}

fn figures(exposure: &Exposure) -> Figures {
    let used = |grain: Grain| exposure.cells.iter().filter(move |c| c.key.grain == grain);
    let all = used(Grain::Scope).find_map(measures);
    let known = |cell: &&Cell| measures(cell).is_some();
    Figures {
        apps: used(Grain::App).filter(known).filter(|c| c.key.app.is_some()).count() as u64,
        developers: used(Grain::Developer).filter(known).count() as u64,
        requests_allowed: all.map_or(0, |m| m.requests),
        subjects_observed: all.map_or(0, |m| m.subjects),
        subjects_upper_bound: all.and_then(|m| m.subjects_upper),
        subjects_unknown_rows: all.map_or(0, |m| m.subjects_unknown_rows),
        groups: all.map_or(0, |m| m.groups),
    }
}

fn broken(exposure: &Exposure, apps: &BTreeMap<String, App>) -> Vec<BrokenApp> {
    let cells = exposure.cells.iter().filter(|cell| cell.key.grain == Grain::App);
    let mut broken: Vec<BrokenApp> = cells
        .filter_map(|cell| {
            let (m, known) = (measures(cell)?, cell.key.app.as_ref().and_then(|id| apps.get(id)));
            Some(BrokenApp {
                app_id: cell.key.app.clone(),
                app_name: known.and_then(|app| app.name.clone()),
                developer_id: known.and_then(|app| app.developer_id.clone()),
                requests_allowed: m.requests,
                subjects_observed: m.subjects,
                last_access: m.last.map(Moment::to_rfc3339),
            })
        })
        .collect();
    broken.sort_by(|a, b| (b.requests_allowed, &a.app_id).cmp(&(a.requests_allowed, &b.app_id)));
    broken
}

/// Answers a question.
///
/// # Errors
/// As [`super::run`].
pub fn what_if(
    plan: &RunPlan,
    question: &Question,
    io: &Io,
    progress: &Arc<Progress>,
    observer: &dyn Observer,
) -> Result<Answer, Error> {
    let enforced = question.at.plus_micros(question.grace);
    if enforced >= plan.as_of {
        let reason = format!(
            "the scope would be enforced from {enforced} on, which is not before as_of, {}; name an earlier moment or a shorter grace",
            plan.as_of
        );
        return Err(Error::argument("--at", reason));
    }
    observer.stage("listing files");
    let mut restricted = None;
    let mut prepared = prepare_with(plan, io, false, |registry: &mut Registry| {
        restricted = registry.scopes.get(&question.scope).map(|scope| scope.restricted_at);
        let first = restricted.map_or(enforced, |at| at.min(enforced));
        let scope = unnamed(first);
        // What the registry says of the scope does not matter: it is enforced otherwise.
        registry.scopes = BTreeMap::from([(question.scope.clone(), scope)]);
        registry.grace = BTreeMap::new();
        registry.grants = None;
        registry.brownouts = None;
        registry.attestations = None;
    })?;
    // Where people live does not matter either.
    prepared.residency = None;
    // The ledger may lie below the output, which is nobody else's then.
    open_output(plan, io)?;
    let (ledger, filled) = filled_ledger(plan, &prepared, io, progress, observer)?;
    observer.stage("counting");
    let mut between = |from: Moment, until: Moment| {
        let stretch = (question.scope.as_str(), from, until);
        between(plan, &mut prepared, &ledger, &filled, progress, stretch)
    };
    let (after, coverage_pct) = between(enforced, plan.as_of)?;
    let would_break = figures(&after);
    if restricted.is_none() && would_break.requests_allowed == 0 {
        observer.warn(&format!(
            "no allowed call of scope `{}` since then, and the registry does not name it; if that is unexpected, compare its spelling with the log's",
            question.scope
        ));
    }
    let before = restricted.filter(|at| *at < enforced);
    let spared = match before {
        Some(from) => {
            // Who was reached before the enforcement is in both counts.
            let all = figures(&between(from, plan.as_of)?.0);
            let early = figures(&between(from, enforced)?.0);
            Some((
                all.subjects_observed.saturating_sub(early.subjects_observed),
                all.groups.saturating_sub(early.groups),
            ))
        }
        None => None,
    };
    Ok(Answer {
        scope: question.scope.clone(),
        enforced_at: enforced.to_rfc3339(),
        as_of: plan.as_of.to_rfc3339(),
        restricted_at: restricted.map(Moment::to_rfc3339),
        would_break,
        subjects_spared: spared.map(|s| s.0),
        groups_spared: spared.map(|s| s.1),
        coverage_pct,
        files_left_out: files_left_out(&filled),
        apps: broken(&after, &prepared.registry.apps),
    })
}
