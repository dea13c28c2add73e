//! Rules of now, and those of a count that is kept.

use std::sync::Arc;

use super::cells::{WindowSet, of_then};
use super::leaf::Pair;
use super::rules::Rules;
use crate::key::MixMap;
use crate::moment::Moment;

/// Whose rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Now,
    /// Of the count that is kept.
    Then,
}

/// Rules, and leaves by them.
#[derive(Debug)]
pub struct ByRules {
    pub rules: Ruling,
    /// By numbers of app and scope set.
    pub pairs: MixMap<u64, Arc<Pair>>,
    /// Parts, by app and [`ScopeUse`](super::carried::ScopeUse).
    pub scopes: MixMap<u64, Arc<Pair>>,
}

impl ByRules {
    pub fn new(rules: Ruling) -> Self {
        Self { rules, pairs: MixMap::default(), scopes: MixMap::default() }
    }
}

/// The rules of one count, or of two by which every row stands as it does by the other: windows alone differ. Then
/// windows are those of both.
#[derive(Debug)]
pub struct Ruling {
    pub own: Rules,
    then: Option<Rules>,
}

impl Ruling {
    pub fn one(rules: Rules) -> Self {
        Self { own: rules, then: None }
    }

    /// Of rules with one end and one restriction of each scope.
    pub fn both(now: Rules, then: Rules) -> Self {
        Self { own: now, then: Some(then) }
    }

    pub fn are_two(&self) -> bool {
        self.then.is_some()
    }

    /// As [`Rules::windows`].
    pub fn windows(&self, app: Option<&str>, scope: &str, at: Moment) -> WindowSet {
        let now = self.own.windows(app, scope, at);
        let then = self.then.as_ref().map_or(0, |then| then.windows(app, scope, at));
        now | of_then(then)
    }

    /// Windows that are the same by the rules of either.
    pub fn alike(&self, windows: WindowSet) -> WindowSet {
        if self.are_two() { windows | of_then(windows) } else { windows }
    }

    /// Where time is cut.
    pub fn cuts(&self, app: Option<&str>, scopes: &[String]) -> Vec<Moment> {
        let mut cuts = self.own.cuts(app, scopes);
        if let Some(then) = &self.then {
            cuts.extend(then.cuts(app, scopes));
            cuts.sort_unstable();
            cuts.dedup();
        }
        cuts
    }

    /// Whether others give an app and these scopes the same windows and the same standing at a moment.
    pub fn agree_with(
        &self,
        others: &Self,
        app: Option<&str>,
        scopes: &[String],
        at: Moment,
    ) -> bool {
        self.own.standing(scopes, at) == others.own.standing(scopes, at)
            && scopes.iter().all(|s| self.windows(app, s, at) == others.windows(app, s, at))
    }
}
