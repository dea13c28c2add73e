//! The lines of `[source.columns]` and `[source.status]`, each with its reason.

use std::collections::BTreeMap;

use super::column::{Column, Kind};
use super::draft::{SHOWN, Writing, listed, more};
use super::facts::facts;
use super::fit::fit;
use super::forms::{Form, is_time};
use super::names::{LEAST, USUAL, weight};
use super::number;
use super::propose::{Candidate, Proposal, Verdict};
use super::quoting::{array, column, literal};
use super::registry;
use super::role::Role;
use super::status::Outcomes;
use crate::config::raw::ColumnTable;
use crate::hidden::visible;

/// Values that name nobody.
const NOBODY: [&str; 9] =
    ["", "-", "anonymous", "unknown", "null", "none", "nil", "n/a", "undefined"];

/// A text's form: digits as 9, letters as a.
fn shape(text: &str) -> String {
    let of = |c: char| match c {
        c if c.is_numeric() => '9',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    text.chars().take(40).map(of).collect()
}

impl Writing<'_> {
    pub(super) fn columns(&mut self) {
        self.line("[source.columns]");
        let keys = Role::ALL.into_iter().filter(|role| *role != Role::Person);
        for role in keys {
            self.column(role);
        }
        let unnamed = self.seen.unnamed.clone();
        if !unnamed.is_empty() {
            let some: Vec<&str> = unnamed.iter().take(SHOWN).map(String::as_str).collect();
            let more = more(unnamed.len());
            self.comment(&format!(
                "No configuration can name these, because of dots in their names or because they have none: {}{more}",
                some.join(", ")
            ));
            self.line("");
        }
    }

    fn column(&mut self, role: Role) {
        let proposal = self.proposal;
        let key = role.key();
        self.comment(&format!("{key}: {}", self.meaning("Columns", key)));
        let is_open = proposal.is_open(role);
        let is_needed = match role {
            Role::Endpoint | Role::Method => proposal.is_by_endpoint(),
            _ => true,
        };
        match proposal.of(role) {
            Verdict::Taken { own, .. } if !is_needed => {
                self.comment("Needed only with an endpoint table (registry.endpoints).");
                self.candidate(role, own);
            }
            Verdict::Taken { own, others } => {
                self.taken(role, own);
                others.iter().take(SHOWN).for_each(|of| self.candidate(role, of));
            }
            Verdict::Choose(of) | Verdict::Perhaps(of) => {
                if is_open {
                    self.comment(if is_required(role) {
                        "OPEN: one of these may be meant. Write the one that is."
                    } else {
                        "OPEN: one of these may be meant. Write the one that is, or take the line out where none is."
                    });
                    let names: Vec<String> = of
                        .iter()
                        .take(SHOWN)
                        .map(|of| format!("`{}`", visible(&of.place.shown())))
                        .collect();
                    let more = more(of.len());
                    self.open(format!("{key}: choose among {}{more}", names.join(", ")));
                } else {
                    self.comment("Not mapped; one of these may be meant.");
                    if is_needed {
                        self.own.undecided.push(key.to_string());
                    }
                }
                of.iter().take(SHOWN).for_each(|of| self.candidate(role, of));
                if role == Role::Scopes && of.len() > 1 {
                    self.comment("A source maps one column of scopes: two of them are two sources over the same url.");
                }
                if is_open {
                    self.line(&format!("{key} = \"\""));
                }
            }
            Verdict::Nothing if role == Role::Scopes && proposal.is_by_endpoint() => {
                self.comment(
                    "No column looks like it: the endpoint table says which scopes a call needs.",
                );
            }
            Verdict::Nothing if is_open => {
                self.comment("OPEN: no column looks like it. Write the one that is.");
                self.misfits(role);
                self.open(format!("{key}: no column looks like it; write the one that is"));
                self.line(&format!("{key} = \"\""));
            }
            Verdict::Nothing => {
                match without(role, proposal) {
                    Some(what) => {
                        self.comment(&format!("No column looks like it: {what}."));
                        self.own.lacking.push(format!("{key} ({what})"));
                    }
                    None => self.comment("No column looks like it."),
                }
                self.misfits(role);
            }
        }
        self.line("");
    }

    /// Columns whose name is that of the role and whose values a run would not read for it.
    fn misfits(&mut self, role: Role) {
        let roles: &[Role] =
            if role == Role::Subject { &[Role::Subject, Role::Person] } else { &[role] };
        // What traces and batches are called is worth a line: many rows share it, and it looks like an id of events.
        let least = if role == Role::EventId { LEAST } else { USUAL };
        let named = |of: &&Column| {
            let name = of.place.name();
            of.values.with_value() > 0 && roles.iter().any(|role| weight(*role, &name) >= least)
        };
        let taken = |of: &&Column| {
            Role::ALL.into_iter().any(|role| {
                self.proposal.of(role).candidates().iter().any(|other| other.place == of.place)
            })
        };
        let seen = self.seen;
        let of: Vec<&Column> =
            seen.columns.iter().filter(named).filter(|of| !taken(of)).take(SHOWN).collect();
        for column in of {
            let counts = &column.values.counts;
            let unread = counts.iter().find(|(text, _)| role != Role::Time || !is_time(text));
            let shape = match unread.or_else(|| counts.first()) {
                Some((text, _)) if column.kind == Kind::Text => {
                    format!(", one with the form {}", literal(&shape(text)))
                }
                _ => String::new(),
            };
            let name = visible(&column.place.shown());
            let doubt = fit(role, &column.place.name(), column).and_then(|fit| fit.doubt);
            let why = doubt.unwrap_or_else(|| {
                format!("not all of its values are such as a run reads for {}{shape}", role.key())
            });
            let what = format!("`{name}` ({}) has such a name, and {why}", facts(column));
            self.comment(&format!("{what}."));
            self.own.undecided.push(format!("{}: {what}", role.key()));
        }
    }

    /// What people's columns show that is no person, and apps that are people.
    fn nobody(&mut self, role: Role, own: &Candidate) {
        let seen = self.seen;
        let Some(values) = seen.columns.get(own.column).map(|of| &of.values) else { return };
        let is_none = |text: &str| NOBODY.contains(&text.trim().to_lowercase().as_str());
        let none: u64 =
            values.counts.iter().filter(|(text, _)| is_none(text)).map(|(_, times)| times).sum();
        if none > 0 {
            let what = format!(
                "{} of its values are empty, -, or words such as anonymous, and count as one of its ids like any other",
                number(none)
            );
            self.comment(&format!("{what}."));
            self.own.undecided.push(format!("{} ({what})", role.key()));
        }
        if role == Role::App && registry::are_people(seen, self.proposal, own) {
            self.comment("Its values are those of the column of people: is it a person that calls, or an app?");
            self.own.undecided.push("app (its values are those of the column of people)".into());
        }
    }

    /// Ids that are written in upper case here and in lower case there: a run takes them for different ones.
    fn cases(&mut self, role: Role, own: &Candidate) {
        let Some(column) = self.seen.columns.get(own.column) else { return };
        let mut written: BTreeMap<String, u64> = BTreeMap::new();
        for (text, _) in &column.values.counts {
            *written.entry(text.to_lowercase()).or_default() += 1;
        }
        let ids = written.values().filter(|ways| **ways > 1).count() as u64;
        if ids == 0 {
            return;
        }
        let way = match column.are_uuids() && role != Role::App {
            true => "kind = \"uuid\"",
            false => "fold_case = true",
        };
        let what = format!(
            "{} of its values are also written in another case, and count as different ones: {way} makes them one",
            number(ids)
        );
        self.comment(&format!("{what}."));
        self.own.undecided.push(format!("{} ({what})", role.key()));
    }

    fn taken(&mut self, role: Role, own: &Candidate) {
        let mut parts = vec![format!("`{}` ({})", own.place.shown(), self.facts(own))];
        parts.push(format!("its name is one that logs use for {}", said(role)));
        if !own.fit.why.is_empty() {
            parts.push(own.fit.why.clone());
        }
        self.comment(&format!("From {}.", parts.join("; ")));
        if own.fit.lacks_zone {
            self.comment("OPEN: say in which zone its times are: an IANA name or an offset.");
            self.open(format!("{}: say in which zone its times are", role.key()));
        }
        if own.fit.lacks_encoding {
            self.comment("OPEN: say how values are parted: \"space\", \"comma\" or \"single\".");
            self.open(format!("{}: say how values are parted in a row", role.key()));
        }
        let is_told = weight(Role::Subject, &own.place.name()) >= LEAST;
        if role == Role::Subject && !is_told {
            self.comment("If it says who called rather than whose data was reached, call the key actor: the same people are counted.");
        }
        let column = self.seen.columns.get(own.column);
        let is_id = matches!(role, Role::Subject | Role::Actor | Role::Group | Role::EventId);
        if is_id && column.is_some_and(|of| of.are_uuids()) {
            self.comment("All values are UUIDs written as text: with kind = \"uuid\" case and hyphens do not matter.");
        }
        if column.is_some_and(|of| of.files_without > 0) {
            self.comment("A run ends at a file that lacks it, unless missing = \"null\" says that this is right.");
            self.own.undecided.push(format!("{} (some files lack it)", role.key()));
        }
        if matches!(role, Role::App | Role::Subject | Role::Actor | Role::Group) {
            self.nobody(role, own);
            self.cases(role, own);
        }
        self.line(&format!("{} = {}", role.key(), mapped(own)));
        if role == Role::Scopes && !own.fit.is_several {
            self.comment("One scope a row counts as exercised by the call. If it is one that the token held, write scopes_mean = \"held\" above [source.columns].");
        }
        if role == Role::Scopes {
            let unfit = registry::unfit(self.seen, own);
            if !unfit.is_empty() {
                self.comment(&format!(
                    "{} of its values are empty or have blanks around them: no registry can name these.",
                    number(unfit.len() as u64)
                ));
            }
        }
    }

    fn candidate(&mut self, role: Role, of: &Candidate) {
        let facts = self.facts(of);
        let mut why = vec![facts];
        why.extend((!of.fit.why.is_empty()).then(|| visible(&of.fit.why)));
        why.extend(of.fit.doubt.clone());
        if let Some(Outcomes::Allowed(_) | Outcomes::NullIsAllowed | Outcomes::Open) =
            &of.fit.outcomes
        {
            why.push(format!("with [source.status] {}", rule(of)));
        }
        self.line(&format!("#   {} = {}  # {}", role.key(), mapped(of), why.join("; ")));
    }

    pub(super) fn status(&mut self) {
        let Verdict::Taken { own, .. } = self.proposal.of(Role::Status) else { return };
        let listed = match registry::outcomes(self.seen, self.proposal, own) {
            Some(counts) => listed(&counts),
            None => "(not written down: they may name people)".into(),
        };
        match &own.fit.outcomes {
            Some(Outcomes::Allowed(_)) => {
                self.line("[source.status]");
                self.comment(&format!("Values in the sample and their rows: {listed}"));
                self.line(&rule(own));
            }
            Some(Outcomes::NullIsAllowed) => {
                self.line("[source.status]");
                self.comment(&format!("Codes in the sample and their rows: {listed}"));
                self.line("allowed = []");
                self.line("null = \"allowed\"");
            }
            Some(Outcomes::Open) => {
                self.line("[source.status]");
                self.comment(&format!(
                    "OPEN: which of these mean that the call was allowed? {listed}"
                ));
                self.line("allowed = []");
                self.open(
                    "source.status.allowed: say which outcomes mean that a call was allowed".into(),
                );
            }
            Some(Outcomes::Http) | None => {
                self.comment(&format!(
                    "Status 200 to 299 is allowed, unless [source.status] says otherwise. In the sample: {listed}"
                ));
                self.line("# [source.status]");
                self.line("# allowed = [\"200-299\"]");
            }
        }
        self.nulls_of_status(own);
        self.line("");
    }

    /// What calls without an outcome are is for somebody to say.
    fn nulls_of_status(&mut self, own: &Candidate) {
        let Some(values) = self.seen.columns.get(own.column).map(|of| &of.values) else { return };
        let (nulls, empty) = (values.nulls, values.forms.of(Form::Empty));
        let rows = number(values.rows);
        if nulls > 0 && own.fit.outcomes != Some(Outcomes::NullIsAllowed) {
            let nulls = number(nulls);
            self.comment(&format!(
                "Null in {nulls} of {rows} rows: these count as of unknown outcome, and among no allowed calls. If null means that a call was allowed, write null = \"allowed\" in [source.status]."
            ));
            self.own.undecided.push(format!(
                "status (null in {nulls} of {rows} rows, which counts as unknown and not as allowed)"
            ));
        }
        if empty > 0 {
            let empty = number(empty);
            self.comment(&format!(
                "Empty in {empty} of {rows} rows: these count as denied, unless \"\" stands in `allowed` of [source.status]."
            ));
            self.own
                .undecided
                .push(format!("status (empty in {empty} of {rows} rows, which counts as denied)"));
        }
    }

    fn facts(&self, of: &Candidate) -> String {
        self.seen.columns.get(of.column).map(facts).unwrap_or_default()
    }
}

/// Whether a configuration without the key is refused.
fn is_required(role: Role) -> bool {
    matches!(role, Role::Time | Role::App | Role::Scopes)
}

/// What it means for the figures that a key is not mapped.
fn without(role: Role, proposal: &Proposal) -> Option<&'static str> {
    match role {
        Role::Status => Some("every call counts as allowed"),
        Role::Group => Some("no groups are counted"),
        Role::EventId => Some("a call that is logged twice counts twice"),
        Role::Subject if *proposal.of(Role::Actor) == Verdict::Nothing => {
            Some("no people are counted")
        }
        _ => None,
    }
}

/// As the configuration maps it.
fn mapped(of: &Candidate) -> String {
    let fit = &of.fit;
    let column_of = ColumnTable {
        format: fit.format.map(str::to_string),
        zone: fit.lacks_zone.then(String::new),
        encoding: fit.encoding,
        ..of.place.column()
    };
    column(&column_of, fit.lacks_encoding)
}

/// What [source.status] would say.
fn rule(of: &Candidate) -> String {
    match &of.fit.outcomes {
        Some(Outcomes::Allowed(words)) => format!("allowed = {}", array(words)),
        Some(Outcomes::NullIsAllowed) => "allowed = [], null = \"allowed\"".into(),
        Some(Outcomes::Open) => "allowed = [the values that mean it]".into(),
        Some(Outcomes::Http) | None => String::new(),
    }
}

/// For what a name speaks.
fn said(role: Role) -> &'static str {
    match role {
        Role::Time => "times",
        Role::App => "apps",
        Role::Scopes => "scopes",
        Role::Subject | Role::Actor | Role::Person => "people",
        Role::Group => "groups and tenants",
        Role::Status => "outcomes",
        Role::Bytes => "bytes returned",
        Role::Records => "records returned",
        Role::Fields => "fields returned",
        Role::Weight => "counts of calls",
        Role::EventId => "ids of events",
        Role::Endpoint => "what was called",
        Role::Method => "methods",
    }
}
