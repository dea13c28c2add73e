//! What a table's log holds, by the names of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::store::{Listed, Store, StoreError};

/// The commits and whole checkpoints of a log.
pub struct Log {
    commits: BTreeMap<u64, Listed>,
    checkpoints: BTreeSet<u64>,
}

impl Log {
    /// # Errors
    /// Storage failures.
    pub fn list(store: &Store) -> Result<Self, StoreError> {
        Ok(Self::of(store.list("_delta_log")?))
    }

    fn of(listed: Vec<Listed>) -> Self {
        let (mut commits, mut checkpoints) = (BTreeMap::new(), BTreeSet::new());
        let mut parts: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for object in listed {
            match Name::of(&object.path) {
                Some(Name::Commit(version)) => {
                    commits.insert(version, object);
                }
                Some(Name::Checkpoint(version)) => {
                    checkpoints.insert(version);
                }
                Some(Name::Part(version, of)) => *parts.entry((version, of)).or_default() += 1,
                None => {}
            }
        }
        let whole = parts.into_iter().filter(|((_, of), found)| of == found);
        checkpoints.extend(whole.map(|((version, _), _)| version));
        Self { commits, checkpoints }
    }

    /// The commits up to `version`, as far back as there is no gap, and those after it up to `until`.
    pub fn commits(&self, version: u64, until: u64) -> Vec<(u64, &Listed)> {
        let mut first = version.saturating_add(1);
        while first > 0 && self.commits.contains_key(&(first - 1)) {
            first -= 1;
        }
        if first > until {
            return Vec::new();
        }
        self.commits.range(first..=until).map(|(version, object)| (*version, object)).collect()
    }

    /// How many commits come after `version`.
    pub fn later(&self, version: u64) -> u64 {
        self.commits.range(version.saturating_add(1)..).count() as u64
    }

    /// The version that the log ends with.
    pub fn latest(&self) -> Option<u64> {
        let ends = [self.commits.keys().next_back(), self.checkpoints.last()];
        ends.into_iter().flatten().max().copied()
    }

    pub fn holds(&self, version: u64) -> bool {
        self.versions().iter().any(|versions| versions.contains(&version))
    }

    /// The first version that can be read.
    pub fn first(&self) -> Option<u64> {
        self.versions().first().map(|versions| *versions.start())
    }

    /// Versions that can be read: from the first commit or a checkpoint on, as long as commits follow.
    fn versions(&self) -> Vec<RangeInclusive<u64>> {
        let numbers: BTreeSet<u64> =
            self.commits.keys().chain(&self.checkpoints).copied().collect();
        let mut found: Vec<RangeInclusive<u64>> = Vec::new();
        for number in numbers {
            let before = number.checked_sub(1);
            match found.last_mut() {
                Some(last) if Some(*last.end()) == before => *last = *last.start()..=number,
                _ if number == 0 || self.checkpoints.contains(&number) => {
                    found.push(number..=number);
                }
                // What it changes is known, and not what.
                _ => {}
            }
        }
        found
    }

    /// The versions that can be read, as people write them.
    pub fn shown(&self) -> String {
        let each =
            self.versions().into_iter().map(|versions| match (versions.start(), versions.end()) {
                (first, last) if first == last => format!("version {first}"),
                (first, last) => format!("versions {first} to {last}"),
            });
        let each: Vec<String> = each.collect();
        if each.is_empty() { "no version that is whole".into() } else { each.join(" and ") }
    }
}

/// What the name of a file in the log says.
enum Name {
    Commit(u64),
    Checkpoint(u64),
    /// Of how many that make a checkpoint.
    Part(u64, u64),
}

impl Name {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("_delta_log/")?.split('.');
        let version = number(parts.next()?, 20)?;
        let rest: Vec<&str> = parts.collect();
        match rest.as_slice() {
            ["json"] => Some(Self::Commit(version)),
            ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => {
                Some(Self::Checkpoint(version))
            }
            ["checkpoint", part, of, "parquet"] => {
                number(part, 10)?;
                Some(Self::Part(version, number(of, 10)?))
            }
            _ => None,
        }
    }
}

fn number(digits: &str, length: usize) -> Option<u64> {
    let is_number = digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use crate::store::Pin;

    fn log(names: &[&str]) -> Log {
        let listed = names.iter().map(|name| Listed {
            path: format!("_delta_log/{name}"),
            pin: Pin::default(),
            written: Moment::from_micros(0),
        });
        Log::of(listed.collect())
    }

    fn commit(version: u64) -> String {
        format!("{version:020}.json")
    }

    #[test]
    fn versions_begin_with_the_first_commit_or_a_whole_checkpoint() {
        let of = |commits: &[u64], more: &[String]| {
            let names: Vec<String> =
                commits.iter().map(|v| commit(*v)).chain(more.to_vec()).collect();
            log(&names.iter().map(String::as_str).collect::<Vec<_>>()).shown()
        };
        let checkpoint =
            |version: u64, kind: &str| format!("{version:020}.checkpoint.{kind}parquet");
        assert_eq!(of(&[0, 1, 2], &[]), "versions 0 to 2");
        assert_eq!(of(&[0], &[]), "version 0");
        // Commits were cleaned: from the checkpoint on.
        assert_eq!(of(&[2, 3, 4], &[checkpoint(3, "")]), "versions 3 to 4");
        assert_eq!(of(&[], &[checkpoint(3, "")]), "version 3");
        assert_eq!(of(&[0, 2, 3], &[checkpoint(3, "")]), "version 0 and version 3");
        let part = |part: u64| checkpoint(3, &format!("{part:010}.0000000002."));
        assert_eq!(of(&[3], &[part(1)]), "no version that is whole");
        assert_eq!(of(&[3], &[part(1), part(2)]), "version 3");
        let v2 = format!("{:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", 3);
        assert_eq!(of(&[3, 4], &[v2, "_last_checkpoint".into()]), "versions 3 to 4");
    }

    #[test]
    fn commits_are_taken_as_far_back_as_there_is_no_gap() {
        let names = [0, 2, 3, 4].map(commit);
        let log = log(&names.each_ref().map(String::as_str));
        let of = |version, until| -> Vec<u64> {
            log.commits(version, until).into_iter().map(|(version, _)| version).collect()
        };
        assert_eq!(of(3, 3), [2, 3]);
        assert_eq!(of(3, 4), [2, 3, 4]);
        assert_eq!(of(0, 0), [0]);
        assert_eq!(of(1, 1), [0u64; 0]);
        assert_eq!(log.latest(), Some(4));
    }
}
