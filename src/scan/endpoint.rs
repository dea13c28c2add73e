//! Which scopes a call needs, by method and path template.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::registry::Endpoint;

/// The endpoint table of the registry, ready for look-ups.
#[derive(Clone, Debug)]
pub struct EndpointTable {
    rows: Vec<Row>,
}

/// `None` stands for a segment in braces.
type Segments = Vec<Option<String>>;

#[derive(Clone, Debug)]
struct Row {
    method: Option<String>,
    segments: Segments,
    scopes: Vec<String>,
}

impl EndpointTable {
    pub fn new(endpoints: &[Endpoint]) -> Self {
        // Templates that differ in the names of their open segments only match the same calls.
        let mut merged: BTreeMap<(Option<String>, Segments), BTreeSet<String>> = BTreeMap::new();
        for endpoint in endpoints {
            let segments = segments(&endpoint.path)
                .into_iter()
                .map(|s| (!(s.starts_with('{') && s.ends_with('}'))).then(|| s.to_string()))
                .collect();
            let scopes = merged.entry((endpoint.method.clone(), segments)).or_default();
            scopes.extend(endpoint.scopes.iter().cloned());
        }
        let mut rows: Vec<Row> = merged
            .into_iter()
            .map(|((method, segments), scopes)| Row {
                method,
                segments,
                scopes: scopes.into_iter().collect(),
            })
            .collect();
        rows.sort_by_key(Row::rank);
        Self { rows }
    }

    /// The scopes of which the call needs one: those of the most particular rows that match it; `None`
    /// where none does.
    pub fn permits(&self, method: Option<&str>, endpoint: &str) -> Option<Vec<String>> {
        let called = segments(endpoint);
        let mut matching = self.rows.iter().filter(|row| row.matches(method, &called)).peekable();
        let rank = matching.peek()?.rank();
        let nearest = matching.take_while(|row| row.rank() == rank);
        let scopes: BTreeSet<&String> = nearest.flat_map(|row| &row.scopes).collect();
        Some(scopes.into_iter().cloned().collect())
    }
}

impl Row {
    /// Open segments, and whether every method will do: the least comes first.
    fn rank(&self) -> (usize, bool) {
        (self.segments.iter().filter(|s| s.is_none()).count(), self.method.is_none())
    }

    fn matches(&self, method: Option<&str>, called: &[&str]) -> bool {
        let method_fits = match (&self.method, method) {
            (None, _) => true,
            (Some(wanted), Some(method)) => wanted.eq_ignore_ascii_case(method),
            (Some(_), None) => false,
        };
        method_fits
            && self.segments.len() == called.len()
            && self
                .segments
                .iter()
                .zip(called)
                .all(|(wanted, segment)| wanted.as_ref().is_none_or(|wanted| wanted == segment))
    }
}

/// Path segments of a URL or path: without scheme, host, query, and empty segments (doubled and
/// trailing slashes occur in real logs).
fn segments(endpoint: &str) -> Vec<&str> {
    let path = match endpoint.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => endpoint,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/').filter(|s| !s.is_empty()).collect()
}

/// Look-ups remembered: logs repeat few endpoints often.
#[derive(Debug, Default)]
pub struct EndpointCache {
    known: HashMap<(Option<String>, String), Option<Vec<String>>>,
}

impl EndpointCache {
    pub fn permits(
        &mut self,
        table: &EndpointTable,
        method: Option<&str>,
        endpoint: &str,
    ) -> Option<&[String]> {
        // A log of full URLs with ids in them would fill memory; starting anew costs little.
        if self.known.len() > 65_536 {
            self.known.clear();
        }
        self.known
            .entry((method.map(str::to_string), endpoint.to_string()))
            .or_insert_with(|| table.permits(method, endpoint))
            .as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> EndpointTable {
        let row = |method: Option<&str>, path: &str, scope: &str| Endpoint {
            method: method.map(str::to_string),
            path: path.into(),
            scopes: [scope.to_string()].into(),
        };
        EndpointTable::new(&[
            row(None, "/groups/{id}/members", "members"),
            row(Some("GET"), "/groups/{id}", "read"),
            row(Some("GET"), "/groups/mine", "mine"),
        ])
    }

    #[test]
    fn a_url_with_doubled_slashes_and_a_query_matches_its_template() {
        let found = table();
        let found =
            found.permits(Some("post"), "https://graph.example//groups//42/members/?$top=1");
        assert_eq!(found, Some(vec!["members".to_string()]));
    }

    #[test]
    fn templates_that_match_the_same_calls_permit_the_scopes_of_all() {
        let row = |path: &str, scope: &str| Endpoint {
            method: None,
            path: path.into(),
            scopes: [scope.to_string()].into(),
        };
        let table = EndpointTable::new(&[row("/g/{id}", "a"), row("/g/{gid}", "b")]);
        let found = table.permits(None, "/g/1");
        assert_eq!(found, Some(vec!["a".to_string(), "b".to_string()]));
    }

    #[test]
    fn the_most_particular_template_wins_and_methods_count() {
        let table = table();
        assert_eq!(table.permits(Some("GET"), "/groups/mine"), Some(vec!["mine".into()]));
        assert_eq!(table.permits(Some("DELETE"), "/groups/7"), None);
        assert_eq!(table.permits(None, "/groups/7"), None);
    }
}
