//! What statuses say became of a call.

use super::batch::Outcome;
use crate::config::StatusPlan;

/// Outcomes by status, of which most are small whole numbers: what they mean is asked once.
#[derive(Debug, Default)]
pub struct Statuses {
    known: Vec<Option<Outcome>>,
}

impl Statuses {
    const KNOWN: usize = 1 << 10;

    #[inline]
    pub fn outcome(&mut self, rule: &StatusPlan, number: i64) -> Outcome {
        if self.known.is_empty() {
            self.known.resize(Self::KNOWN, None);
        }
        match usize::try_from(number).ok().and_then(|number| self.known.get_mut(number)) {
            Some(known) => *known.get_or_insert_with(|| of_number(rule, number)),
            None => of_number(rule, number),
        }
    }
}

/// Where there is none.
pub fn of_null(rule: &StatusPlan) -> Outcome {
    if rule.null_is_allowed { Outcome::Allowed } else { Outcome::Unknown }
}

fn of_number(rule: &StatusPlan, number: i64) -> Outcome {
    let is_word = || !rule.words.is_empty() && has_word(rule, &number.to_string());
    if in_ranges(rule, number) || is_word() { Outcome::Allowed } else { Outcome::Denied }
}

pub fn in_ranges(rule: &StatusPlan, number: i64) -> bool {
    rule.ranges.iter().any(|(from, to)| (*from..=*to).contains(&number))
}

pub fn has_word(rule: &StatusPlan, text: &str) -> bool {
    rule.words.iter().any(|word| word == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_what_the_rule_says_however_large_they_are_and_however_often_they_are_asked() {
        let rule = StatusPlan {
            ranges: vec![(200, 299), (-5, -4), (1023, 1024)],
            words: vec!["304".into(), "2000".into(), "-7".into(), "ok".into()],
            null_is_allowed: false,
        };
        let allowed = [-7, -5, -4, 200, 299, 304, 1023, 1024, 2000];
        let denied = [i64::MIN, -6, -3, -1, 0, 199, 300, 305, 1022, 1025, 2001, i64::MAX];
        let mut statuses = Statuses::default();
        for _ in 0..2 {
            assert!(allowed.iter().all(|n| statuses.outcome(&rule, *n) == Outcome::Allowed));
            assert!(denied.iter().all(|n| statuses.outcome(&rule, *n) == Outcome::Denied));
        }
        assert_eq!(of_null(&rule), Outcome::Unknown);
        assert_eq!(of_null(&StatusPlan { null_is_allowed: true, ..rule }), Outcome::Allowed);
    }
}
