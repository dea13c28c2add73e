//! What became of the apps of the story beside their calls: grants, a brownout, promises of deletion.

use crate::moment::Moment;

/// Calls of the second scope had to fail for a day.
const BROWNOUT: (usize, &str, &str) = (1, "2019-06-03T10:00:00Z", "2019-06-04T10:00:00Z");

/// Its grants were taken back, and given again two months later.
const REGRANTED: (usize, &str, &str) = (12, "2018-12-01T00:00:00Z", "2019-02-01T00:00:00Z");

const ASKED: &str = "2019-01-10T00:00:00Z";

/// App, scope (none: all), when its developer promised, and how.
const PROMISES: [(usize, Option<usize>, Option<&str>, &str); 8] = [
    // Goes on to the end.
    (3, None, Some("2019-03-01T09:30:00Z"), "All member data was deleted."),
    // Does so in some of its scopes only.
    (5, Some(1), Some("2019-03-04T00:00:00Z"), "Publishing data was deleted."),
    (5, Some(3), Some("2019-03-04T00:00:00Z"), "Feed data was deleted."),
    // Promised while its grants were taken back; given them again, it called again.
    (12, None, Some("2019-01-15T12:00:00Z"), "Done."),
    // Stopped before it promised; a day of the log was lost after that.
    (25, None, Some("2019-06-10T00:00:00Z"), "No data was retained."),
    // Stopped before it promised, and the log is whole from then on.
    (20, None, Some("2019-08-01T00:00:00Z"), "=HYPERLINK(\"http://example.com\";\"deleted\")"),
    // Never called.
    (40, None, Some("2019-09-01T00:00:00Z"), "We never used the API."),
    (30, None, None, ""),
];

/// A promise, given or only asked for.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub app: usize,
    pub scope: Option<usize>,
    pub asked: i64,
    pub given: Option<i64>,
    pub statement: &'static str,
}

/// An app may use a scope, as the registry writes it.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub app: usize,
    pub scope: usize,
    pub from: &'static str,
    pub to: Option<&'static str>,
}

/// What an app may not do.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub revoked: Vec<(i64, i64)>,
    pub brownouts: Vec<(i64, i64)>,
    /// The first promise.
    pub promised: Option<i64>,
}

fn micros(text: &str) -> i64 {
    Moment::parse_rfc3339(text).map_or(0, |at| at.micros)
}

pub fn promises() -> Vec<Promise> {
    let all = PROMISES.into_iter().map(|(app, scope, at, statement)| Promise {
        app,
        scope,
        asked: micros(ASKED),
        given: at.map(micros),
        statement,
    });
    all.collect()
}

/// The standing of app `number` in a scope.
pub fn standing(number: usize, scope: usize) -> Standing {
    let mut standing = Standing::default();
    if number == REGRANTED.0 {
        standing.revoked.push((micros(REGRANTED.1), micros(REGRANTED.2)));
    }
    if scope == BROWNOUT.0 {
        standing.brownouts.push((micros(BROWNOUT.1), micros(BROWNOUT.2)));
    }
    let own = promises().into_iter();
    let own = own.filter(|p| p.app == number && p.scope.is_none_or(|own| own == scope));
    standing.promised = own.filter_map(|p| p.given).min();
    standing
}

/// Every grant of `apps` apps to `scopes` scopes.
pub fn given(apps: usize, scopes: usize) -> Vec<Grant> {
    let (regranted, revoked, again) = REGRANTED;
    let mut grants = Vec::new();
    for app in 0..apps {
        for scope in 0..scopes {
            let first = Grant { app, scope, from: "2016-01-01T00:00:00Z", to: None };
            if app == regranted {
                grants.push(Grant { to: Some(revoked), ..first });
                grants.push(Grant { from: again, ..first });
            } else {
                grants.push(first);
            }
        }
    }
    grants
}

pub fn grants(apps: usize, app_id: impl Fn(usize) -> String, scopes: &[&str]) -> String {
    let mut text = String::from("app_id,scope,granted_at,revoked_at\n");
    for grant in given(apps, scopes.len()) {
        let scope = scopes.get(grant.scope).copied().unwrap_or_default();
        let to = grant.to.unwrap_or_default();
        text.push_str(&format!("{},{scope},{},{to}\n", app_id(grant.app), grant.from));
    }
    text
}

pub fn brownouts(scopes: &[&str]) -> String {
    let (scope, from, to) = BROWNOUT;
    let scope = scopes.get(scope).copied().unwrap_or_default();
    format!("scope,app_id,from,to\n{scope},,{from},{to}\n")
}

pub fn attestations(app_id: impl Fn(usize) -> String, scopes: &[&str]) -> String {
    let mut text = String::from("app_id,scope,asked_at,attested_at,statement\n");
    for (app, scope, at, statement) in PROMISES {
        let scope = scope.and_then(|scope| scopes.get(scope).copied()).unwrap_or("all");
        let quoted = statement.replace('"', "\"\"");
        let at = at.unwrap_or_default();
        text.push_str(&format!("{},{scope},{ASKED},{at},\"{quoted}\"\n", app_id(app)));
    }
    text
}
