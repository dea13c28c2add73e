//! Which column of people says who was reached, and which who called.

use super::propose::{Candidate, SURE, Verdict};
use super::role::Role;

/// A person of whom nobody knows whether they called or were reached is the subject where nothing says more: the
/// people are the same. Where two columns have names of people, somebody says who was reached.
pub fn told(mut verdicts: Vec<(Role, Verdict)>) -> Vec<(Role, Verdict)> {
    let of = |role: Role| verdicts.iter().position(|(of, _)| *of == role);
    let (Some(subject), Some(actor), Some(person)) =
        (of(Role::Subject), of(Role::Actor), of(Role::Person))
    else {
        return verdicts;
    };
    let (_, of_person) = verdicts.remove(person);
    let at = |at: usize| verdicts.get(at).map_or(Verdict::Nothing, |(_, of)| of.clone());
    let (of_subject, of_actor) = (at(subject), at(actor));
    let is_sure = |of: &&Candidate| of.named >= SURE && of.score() > 0;
    let sure = |of: &Verdict| of.candidates().into_iter().filter(is_sure).count();
    let (reached, people) = (sure(&of_subject), sure(&of_person));
    let all = || {
        let mut all: Vec<Candidate> = Vec::new();
        for of in of_subject.candidates().into_iter().chain(of_person.candidates()) {
            if !all.iter().any(|known| known.place == of.place) {
                all.push(of.clone());
            }
        }
        all
    };
    let (new_subject, new_actor) = match (reached, people, &of_actor) {
        // Nothing but an actor, and names that mostly mean something else.
        (0, 0, Verdict::Taken { .. } | Verdict::Choose(_)) => (perhaps(all()), of_actor),
        (_, 0, actor) => {
            let own = if reached == 0 { chosen(all()) } else { of_subject.clone() };
            let is_left = reached > 0 && *actor == Verdict::Nothing;
            let people = || of_person.candidates().into_iter().cloned().collect();
            (own, if is_left { perhaps(people()) } else { actor.clone() })
        }
        (0, _, Verdict::Nothing) => match of_person {
            Verdict::Taken { own, mut others } => {
                others.extend(of_subject.candidates().into_iter().cloned());
                (Verdict::Taken { own, others }, Verdict::Nothing)
            }
            _ => (chosen(all()), Verdict::Nothing),
        },
        (_, _, Verdict::Nothing) => {
            let people = of_person.candidates().into_iter().cloned().collect();
            (chosen(all()), perhaps(people))
        }
        (_, _, actor) => (chosen(all()), actor.clone()),
    };
    for (at, verdict) in [(subject, new_subject), (actor, new_actor)] {
        if let Some((_, own)) = verdicts.get_mut(at) {
            *own = verdict;
        }
    }
    verdicts
}

fn perhaps(of: Vec<Candidate>) -> Verdict {
    if of.is_empty() { Verdict::Nothing } else { Verdict::Perhaps(of) }
}

fn chosen(of: Vec<Candidate>) -> Verdict {
    if of.is_empty() { Verdict::Nothing } else { Verdict::Choose(of) }
}
