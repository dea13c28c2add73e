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
        // The most particular row comes first: fewest open segments, then a named method.
        rows.sort_by_key(|row| {
            (row.segments.iter().filter(|s| s.is_none()).count(), row.method.is_none())
        });
        Self { rows }
    }

    /// The scopes of which the call needs one; `None` where no row matches.
    pub fn permits(&self, method: Option<&str>, endpoint: &str) -> Option<&[String]> {
        let called = segments(endpoint);
        self.rows
            .iter()
            .find(|row| {
                let method_fits = match (&row.method, method) {
                    (None, _) => true,
                    (Some(wanted), Some(method)) => wanted.eq_ignore_ascii_case(method),
                    (Some(_), None) => false,
                };
                method_fits
                    && row.segments.len() == called.len()
                    && row.segments.iter().zip(&called).all(|(wanted, segment)| {
                        wanted.as_ref().is_none_or(|wanted| wanted == segment)
                    })
            })
            .map(|row| row.scopes.as_slice())
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
            .or_insert_with(|| table.permits(method, endpoint).map(<[String]>::to_vec))
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
        assert_eq!(found, Some(["members".to_string()].as_slice()));
    }

    #[test]
    fn templates_that_match_the_same_calls_permit_the_scopes_of_all() {
        let row = |path: &str, scope: &str| Endpoint {
            method: None,
            path: path.into(),
            scopes: [scope.to_string()].into(),
        };
        let table = EndpointTable::new(&[row("/g/{id}", "a"), row("/g/{gid}", "b")]);
        let found = table.permits(None, "/g/1").map(<[String]>::to_vec);
        assert_eq!(found, Some(vec!["a".to_string(), "b".to_string()]));
    }

    #[test]
    fn the_most_particular_template_wins_and_methods_count() {
        let table = table();
        assert_eq!(table.permits(Some("GET"), "/groups/mine"), Some(["mine".into()].as_slice()));
        assert_eq!(table.permits(Some("DELETE"), "/groups/7"), None);
        assert_eq!(table.permits(None, "/groups/7"), None);
    }
}
