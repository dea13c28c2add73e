//! Where the registry's tables of people are, and whose ids they hold.

use std::collections::BTreeSet;

use super::plan::{PeoplePlan, SourcePlan};
use crate::store::StoreUrl;

/// Finds the source whose columns the tables' ids are those of.
///
/// # Errors
/// A message where it is not clear which source is meant.
pub fn people_plan(
    memberships: Option<StoreUrl>,
    residency: Option<StoreUrl>,
    people_of: Option<&str>,
    sources: &[SourcePlan],
) -> Result<PeoplePlan, String> {
    let source = match people_of {
        Some(name) => Some(
            sources
                .iter()
                .position(|s| s.name == name)
                .ok_or(format!("registry.people_of: no source is named `{name}`"))?,
        ),
        None => None,
    };
    let distinct =
        |of: fn(&SourcePlan) -> &String| sources.iter().map(of).collect::<BTreeSet<_>>().len() > 1;
    let asked = memberships.is_some() || residency.is_some();
    let unclear = asked && distinct(|s| &s.person_namespace)
        || memberships.is_some() && distinct(|s| &s.group_namespace);
    if source.is_none() && unclear {
        return Err(
            "several sources have ids of their own: name the source whose people and groups memberships and residency speak of with registry.people_of"
                .into(),
        );
    }
    Ok(PeoplePlan { memberships, residency, source: source.unwrap_or(0) })
}
