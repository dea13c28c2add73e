//! Which columns a configuration would map to what: a rule for all, over names and values as data.

use super::column::{Column, Place};
use super::fit::{Fit, fit};
use super::names::{LEAST, weight};
use super::people::told;
use super::rivals::{rivals, speaks_alone};
use super::role::Role;

/// What a name must weigh for a column to be taken without a question.
pub const SURE: i32 = 7;

/// How far it must be ahead of the next.
const AHEAD: i32 = 3;

/// A column that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number among the columns.
    pub column: usize,
    pub place: Place,
    /// What its name weighs.
    pub named: i32,
    pub fit: Fit,
}

impl Candidate {
    /// What name and values weigh together.
    pub fn score(&self) -> i32 {
        self.named + self.fit.weight
    }
}

/// What is proposed for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One is far ahead.
    Taken {
        own: Box<Candidate>,
        others: Vec<Candidate>,
    },
    /// Somebody has to choose.
    Choose(Vec<Candidate>),
    /// What may be meant beside what is mapped.
    Perhaps(Vec<Candidate>),
    Nothing,
}

impl Verdict {
    fn of(mut candidates: Vec<Candidate>) -> Self {
        candidates.sort_by_key(|of| (-of.score(), of.column));
        let next = candidates.get(1).map(Candidate::score);
        match candidates.first() {
            None => Self::Nothing,
            Some(first)
                if first.named >= SURE
                    && first.fit.doubt.is_none()
                    && next.is_none_or(|next| first.score() - next >= AHEAD) =>
            {
                let own = Box::new(candidates.remove(0));
                Self::Taken { own, others: candidates }
            }
            Some(_) => Self::Choose(candidates),
        }
    }

    pub fn taken(&self) -> Option<&Candidate> {
        match self {
            Self::Taken { own, .. } => Some(own),
            _ => None,
        }
    }

    /// All columns that may be meant.
    pub fn candidates(&self) -> Vec<&Candidate> {
        match self {
            Self::Taken { own, others } => std::iter::once(own.as_ref()).chain(others).collect(),
            Self::Choose(of) | Self::Perhaps(of) => of.iter().collect(),
            Self::Nothing => Vec::new(),
        }
    }
}

/// What is proposed for every key of `[source.columns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    verdicts: Vec<(Role, Verdict)>,
}

impl Proposal {
    pub fn of(&self, role: Role) -> &Verdict {
        let found = self.verdicts.iter().find(|(of, _)| *of == role);
        found.map_or(&Verdict::Nothing, |(_, verdict)| verdict)
    }

    /// Whether no column holds scopes: then the endpoint table has to give them.
    pub fn is_by_endpoint(&self) -> bool {
        *self.of(Role::Scopes) == Verdict::Nothing && *self.of(Role::Endpoint) != Verdict::Nothing
    }

    /// Whether somebody has to say what scopes in a row mean: several, or one whose column's name says that the token
    /// held it.
    pub fn asks_what_scopes_mean(&self) -> bool {
        let asks = |of: &Candidate| of.fit.is_several || is_held(&of.place.name());
        match self.of(Role::Scopes) {
            Verdict::Taken { own, .. } => asks(own),
            other => other.candidates().into_iter().any(asks),
        }
    }

    /// Whether a run must not go on before somebody decides: what is asked changes nearly every figure.
    pub fn is_open(&self, role: Role) -> bool {
        let matters = match role {
            Role::Time | Role::App | Role::Group | Role::Status | Role::EventId => true,
            Role::Scopes => !self.is_by_endpoint(),
            Role::Subject => true,
            // The person is then the subject, whoever the actor is.
            Role::Actor => self.of(Role::Subject).taken().is_none(),
            Role::Endpoint | Role::Method => self.is_by_endpoint(),
            _ => false,
        };
        let is_required = matches!(role, Role::Time | Role::App | Role::Scopes);
        match self.of(role) {
            Verdict::Taken { own, .. } => own.fit.lacks_zone || own.fit.lacks_encoding,
            Verdict::Choose(_) => matters,
            Verdict::Perhaps(_) => false,
            Verdict::Nothing => matters && is_required,
        }
    }
}

/// Whether a name of scopes says that a token holds them.
fn is_held(name: &str) -> bool {
    let words = ["token", "granted", "grants", "held", "consented", "authorized", "roles"];
    name.split(['.', '_']).any(|word| words.contains(&word))
}

/// Proposes a mapping of the columns of a sample.
pub fn propose(columns: &[Column]) -> Proposal {
    let names: Vec<String> = columns.iter().map(|column| column.place.name()).collect();
    let found: Vec<(Role, Vec<Candidate>)> =
        Role::ALL.into_iter().map(|role| (role, candidates(role, &names, columns))).collect();
    let first: Vec<(Role, Verdict)> =
        found.iter().map(|(role, of)| (*role, Verdict::of(of.clone()))).collect();
    let verdicts = found.into_iter().map(|(role, of)| {
        let left = of.into_iter().filter(|of| !is_elsewhere(role, of, &first));
        let mut left: Vec<Candidate> = left.collect();
        rivals(role, &mut left, columns);
        (role, Verdict::of(left))
    });
    Proposal { verdicts: told(verdicts.collect()) }
}

fn candidates(role: Role, names: &[String], columns: &[Column]) -> Vec<Candidate> {
    let all = names.iter().zip(columns).enumerate();
    let of = |(number, (name, column)): (usize, (&String, &Column))| {
        let named = weight(role, name);
        if named < LEAST && !speaks_alone(role, column) {
            return None;
        }
        let fit = fit(role, name, column)?;
        let of = Candidate { column: number, place: column.place.clone(), named, fit };
        (of.score() > 0).then_some(of)
    };
    all.filter_map(of).collect()
}

/// Whether the column is taken for another role, of which its name speaks no less.
fn is_elsewhere(role: Role, of: &Candidate, first: &[(Role, Verdict)]) -> bool {
    first.iter().any(|(other, verdict)| {
        let taken = verdict.taken().filter(|taken| *other != role && taken.place == of.place);
        taken.is_some_and(|taken| {
            taken.named > of.named || (taken.named == of.named && *other < role)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::column::Kind;
    use super::super::status::Outcomes;
    use super::super::tally::Tally;
    use super::*;
    use crate::config::raw::Encoding;

    /// An empty text is a null.
    fn column(path: &str, kind: Kind, values: &[&str]) -> Column {
        let mut tally = Tally::new();
        for text in values.iter().filter(|text| !text.is_empty()) {
            tally.row();
            tally.value(text, 1 << 20);
        }
        Column {
            place: Place::Path(path.into()),
            kind,
            data_type: format!("{kind:?}"),
            values: tally.finish(values.len() as u64),
            files_without: 0,
        }
    }

    fn text(path: &str, values: &[&str]) -> Column {
        column(path, Kind::Text, values)
    }

    fn taken(proposal: &Proposal, role: Role) -> Option<String> {
        proposal.of(role).taken().map(|own| own.place.shown())
    }

    fn asked(proposal: &Proposal, role: Role) -> Vec<String> {
        assert_eq!(proposal.of(role).taken(), None);
        proposal.of(role).candidates().iter().map(|of| of.place.shown()).collect()
    }

    #[test]
    fn a_known_name_whose_values_fit_is_taken() {
        let at = ["2019-07-01T08:00:00Z", "2019-07-01T09:00:00Z"];
        let columns = [text("EventTime", &at), text("AppId", &["a", "b"])];
        let proposal = propose(&columns);
        assert_eq!(taken(&proposal, Role::Time).as_deref(), Some("EventTime"));
        assert_eq!(taken(&proposal, Role::App).as_deref(), Some("AppId"));
        assert!(!proposal.is_open(Role::Time) && proposal.is_open(Role::Scopes));
    }

    #[test]
    fn a_name_whose_values_do_not_fit_is_not_asked_about() {
        let columns = [text("event_time", &["noon", "later"]), text("method", &["members.get"])];
        let proposal = propose(&columns);
        assert_eq!(*proposal.of(Role::Time), Verdict::Nothing);
        assert_eq!(*proposal.of(Role::Method), Verdict::Nothing);
        assert!(proposal.is_open(Role::Time));
    }

    #[test]
    fn two_names_that_are_as_good_are_asked_about() {
        let columns = [
            column("org_id", Kind::Whole, &["1", "1"]),
            column("business_id", Kind::Whole, &["2", "2"]),
        ];
        let proposal = propose(&columns);
        assert_eq!(asked(&proposal, Role::Group), ["org_id", "business_id"]);
        assert!(proposal.is_open(Role::Group));
        // Where most rows lack one, the other is taken.
        let rare =
            column("business_id", Kind::Whole, &["2", "", "", "", "", "", "", "", "", "", ""]);
        let full = column("org_id", Kind::Whole, &["1"; 11]);
        assert_eq!(taken(&propose(&[full, rare]), Role::Group).as_deref(), Some("org_id"));
    }

    #[test]
    fn a_person_is_the_subject_unless_names_say_more() {
        let ids = |path| column(path, Kind::Whole, &["1", "2"]);
        let alone = propose(&[ids("user_id")]);
        assert_eq!(taken(&alone, Role::Subject).as_deref(), Some("user_id"));
        assert_eq!(*alone.of(Role::Actor), Verdict::Nothing);
        let both = propose(&[ids("actor_id"), ids("user_id")]);
        assert_eq!(taken(&both, Role::Actor).as_deref(), Some("actor_id"));
        assert_eq!(asked(&both, Role::Subject), ["user_id"]);
        assert!(both.is_open(Role::Subject) && !both.is_open(Role::Actor));
        let owner = propose(&[ids("user_id"), ids("owner_id")]);
        assert_eq!(asked(&owner, Role::Subject), ["owner_id", "user_id"]);
        assert!(owner.is_open(Role::Subject));
        // A name that mostly means something else is told, and keeps nobody waiting.
        let faint = propose(&[ids("actor_id"), ids("resource_id")]);
        assert_eq!(taken(&faint, Role::Actor).as_deref(), Some("actor_id"));
        assert_eq!(asked(&faint, Role::Subject), ["resource_id"]);
        assert!(!faint.is_open(Role::Subject));
        let two = propose(&[ids("subject_id"), ids("target_user_id"), ids("actor_id")]);
        assert_eq!(asked(&two, Role::Subject), ["subject_id", "target_user_id"]);
        assert!(two.is_open(Role::Subject));
    }

    #[test]
    fn several_scopes_in_a_row_are_told_by_what_parts_them() {
        let of = |values: &[&str]| {
            let proposal = propose(&[text("scope", values)]);
            let own = proposal.of(Role::Scopes).taken().unwrap().fit.clone();
            (own.encoding, own.is_several, own.lacks_encoding)
        };
        assert_eq!(of(&["a.read", "b.read"]), (None, false, false));
        assert_eq!(of(&["a.read b.read", "b.read"]), (Some(Encoding::Space), true, false));
        assert_eq!(of(&["a.read, b.read", "b.read"]), (Some(Encoding::Comma), true, false));
        assert_eq!(of(&["[\"a.read\"]", "[]"]), (Some(Encoding::List), true, false));
        assert_eq!(of(&["a.read b.read", "a.read,b.read"]), (None, true, true));
    }

    #[test]
    fn outcomes_are_sorted_only_where_words_say_it() {
        let of = |name: &str, kind, values: &[&str]| {
            let proposal = propose(&[column(name, kind, values)]);
            proposal.of(Role::Status).taken().unwrap().fit.outcomes.clone().unwrap()
        };
        let allowed =
            |words: &[&str]| Outcomes::Allowed(words.iter().map(|w| (*w).into()).collect());
        assert_eq!(of("status", Kind::Whole, &["200", "404"]), Outcomes::Http);
        assert_eq!(of("status", Kind::Text, &["OK", "Denied"]), allowed(&["OK"]));
        assert_eq!(of("status", Kind::Text, &["OK", "Maybe"]), Outcomes::Open);
        assert_eq!(of("status", Kind::Text, &["Denied"]), Outcomes::Open);
        assert_eq!(of("status_id", Kind::Whole, &["1", "2"]), Outcomes::Open);
        assert_eq!(of("error_code", Kind::Text, &["", "AccessDenied"]), Outcomes::NullIsAllowed);
        assert_eq!(of("is_error", Kind::Bool, &["true", "false"]), allowed(&["false"]));
    }

    #[test]
    fn calls_give_scopes_only_where_no_column_does() {
        let calls = || text("request_uri", &["/groups/1", "/groups/2"]);
        let without = propose(&[calls()]);
        assert!(without.is_by_endpoint() && !without.is_open(Role::Scopes));
        let with = propose(&[calls(), text("scope", &["a.read", "b.read"])]);
        assert!(!with.is_by_endpoint());
    }
}
