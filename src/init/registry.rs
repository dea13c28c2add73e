//! The files to fill in, with what the sample shows.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{Column, Kind};
use super::fit::parted;
use super::forms::Form;
use super::look::Seen;
use super::names::{is_secret, names_people};
use super::number;
use super::propose::{Candidate, Proposal, Verdict};
use super::rivals::CODES;
use super::role::Role;
use super::status;
use super::written::{masked, template};
use crate::hidden::visible;
use crate::impact::csv_cell;

/// The registry's files, and what is written of the sample beside them.
pub const SCOPES: &str = "scopes.csv";
pub const APPS: &str = "apps.csv";
pub const ENDPOINTS: &str = "endpoints.csv";
pub const SAMPLE: &str = "sample.csv";

/// Values of a column that are listed at most.
const LISTED: usize = 10_000;

/// Values and how often each occurs.
pub type Counts = Vec<(String, u64)>;

/// What the sample shows of the columns whose values name scopes, apps, outcomes and calls. Nothing of people.
pub fn values(seen: &Seen, proposal: &Proposal) -> Vec<(Role, String, Counts)> {
    let mut roles = vec![Role::Scopes, Role::App, Role::Status];
    if proposal.is_by_endpoint() {
        roles.extend([Role::Endpoint, Role::Method]);
    }
    let columns = roles.into_iter().flat_map(|role| {
        let all = match proposal.of(role) {
            Verdict::Taken { own, .. } => vec![own.as_ref()],
            other => other.candidates(),
        };
        all.into_iter().map(move |of| (role, of))
    });
    let columns = columns.filter(|(role, of)| match role {
        Role::App => !is_withheld(seen, proposal, of),
        Role::Status => outcomes(seen, proposal, of).is_some(),
        _ => true,
    });
    let values = columns.filter_map(|(role, of)| {
        let column = seen.columns.get(of.column)?;
        let counts = counts(role, of, column);
        Some((role, of.place.shown(), counts.into_iter().take(LISTED).collect()))
    });
    values.collect()
}

/// Whether values of a column of apps are not to be written down: secrets, and ids of people.
pub fn is_withheld(seen: &Seen, proposal: &Proposal, of: &Candidate) -> bool {
    is_secret(&of.place.name()) || are_people(seen, proposal, of)
}

/// Whether a column has the values of a column of people.
pub fn are_people(seen: &Seen, proposal: &Proposal, own: &Candidate) -> bool {
    let values = |of: &Candidate| seen.columns.get(of.column).map(|column| &column.values);
    let Some(own_values) = values(own) else { return false };
    [Role::Subject, Role::Actor].into_iter().any(|role| {
        let people = proposal.of(role).candidates();
        let mut people = people.into_iter().filter(|of| of.place != own.place).filter_map(values);
        people.any(|people| own_values.different() > 1 && own_values.counts == people.counts)
    })
}

fn counts(role: Role, of: &Candidate, column: &Column) -> Counts {
    match role {
        Role::Scopes => parted(column, of.fit.encoding),
        Role::Endpoint => templates(column),
        Role::Status => summed(column, masked),
        _ => column.values.counts.clone(),
    }
}

/// What the list of a role's values lacks of those of the sample, in words.
pub fn gaps(seen: &Seen, proposal: &Proposal, role: Role) -> Vec<String> {
    let of_taken = proposal.of(role).taken();
    let all = of_taken.map_or_else(|| proposal.of(role).candidates(), |own| vec![own]);
    let columns = all.into_iter().filter_map(|of| Some((of, seen.columns.get(of.column)?)));
    let gaps = columns.flat_map(|(of, column)| {
        let name = visible(&of.place.shown());
        let counts = counts(role, of, column);
        let (different, not_kept) = (counts.len(), column.values.not_kept());
        let hidden = counts.iter().filter(|(text, _)| text.contains(char::is_control)).count();
        let number = |count: usize| number(count as u64);
        let long = (not_kept > 0).then(|| {
            let (not_kept, values) = (super::number(not_kept), super::number(column.values.values));
            format!("{not_kept} of {values} values of `{name}` were too long or too many to be looked at")
        });
        let cut = (different > LISTED).then(|| {
            format!("of {} different values of `{name}` the {} most frequent are listed", number(different), number(LISTED))
        });
        let hidden = (hidden > 0).then(|| {
            format!("{} values of `{name}` hold control characters and are left out", number(hidden))
        });
        [long, cut, hidden].into_iter().flatten()
    });
    gaps.collect()
}

/// Scopes that the registry can name: those of the column that is proposed, or of all that may be meant.
pub fn scopes(seen: &Seen, proposal: &Proposal) -> Counts {
    named(values(seen, proposal), Role::Scopes)
}

fn named(values: Vec<(Role, String, Counts)>, role: Role) -> Counts {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let own = values.into_iter().filter(|(of, ..)| *of == role).flat_map(|(.., counts)| counts);
    for (text, times) in own.filter(|(text, _)| can_stand(text)) {
        *counts.entry(text).or_default() += times;
    }
    let mut counts: Counts = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// Whether it is written as an id: blanks around a name are a mistake in a registry, and control characters are nothing
/// that people could check.
fn can_stand(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

/// Calls with `{id}` for segments that look like ids.
fn templates(column: &Column) -> Counts {
    summed(column, template)
}

/// Outcomes without the people that some of them name; `None` where the column is named like people or has their
/// values, and where it has too many different sentences for all of them to name nobody.
pub fn outcomes(seen: &Seen, proposal: &Proposal, of: &Candidate) -> Option<Counts> {
    let column = seen.columns.get(of.column)?;
    let values = &column.values;
    let is_of_people = names_people(&of.place.name()) || are_people(seen, proposal, of);
    let are_sentences = values.forms.of(Form::Blanks) * 2 > values.values;
    if !status::are_known(column) && (is_of_people || (are_sentences && values.different() > CODES))
    {
        return None;
    }
    Some(summed(column, masked))
}

/// Values as they are written, with their rows.
fn summed(column: &Column, written: impl Fn(&str) -> String) -> Counts {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (text, times) in &column.values.counts {
        *counts.entry(written(text)).or_default() += times;
    }
    let mut counts: Counts = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

fn csv(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Into memory, and every row of a table has as many cells.
        let _ = writer.write_record(&row);
    }
    writer.into_inner().unwrap_or_default()
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_string()).collect()
}

/// All files beside the configuration, with their names.
pub fn files(seen: &Seen, proposal: &Proposal) -> Vec<(&'static str, Vec<u8>)> {
    let values = values(seen, proposal);
    let scopes = named(values.clone(), Role::Scopes);
    let scopes = scopes.iter().map(|(scope, _)| row(&[scope, "", ""]));
    let header = [row(&["scope", "deprecated_at", "data_fields"])];
    let mut files = vec![(SCOPES, csv(header.into_iter().chain(scopes)))];
    let is_known = proposal.of(Role::App).taken().is_some();
    let apps = if is_known { named(values.clone(), Role::App) } else { Vec::new() };
    let apps = apps.iter().map(|(app, _)| row(&[app, "", "", ""]));
    let header = [row(&["app_id", "app_name", "developer_id", "developer_name"])];
    files.push((APPS, csv(header.into_iter().chain(apps))));
    if proposal.is_by_endpoint() {
        let calls = named(values.clone(), Role::Endpoint);
        let calls = calls.iter().map(|(call, _)| row(&["", call, ""]));
        let header = [row(&["method", "path", "scope"])];
        files.push((ENDPOINTS, csv(header.into_iter().chain(calls))));
    }
    let found = values.iter().flat_map(|(role, column, counts)| {
        counts.iter().map(|(value, times)| {
            let cells = [role.key(), column, value, &times.to_string()];
            cells.iter().map(|cell| csv_cell(cell).into_owned()).collect()
        })
    });
    let header = [row(&["key", "column", "value", "rows"])];
    files.push((SAMPLE, csv(header.into_iter().chain(found))));
    files
}

/// Texts that the registry cannot name, of the column that is proposed.
pub fn unfit(seen: &Seen, of: &Candidate) -> BTreeSet<String> {
    let Some(column) = seen.columns.get(of.column) else { return BTreeSet::new() };
    let all = match column.kind {
        Kind::Texts | Kind::Text => parted(column, of.fit.encoding),
        _ => Vec::new(),
    };
    all.into_iter().map(|(text, _)| text).filter(|text| !can_stand(text)).collect()
}
