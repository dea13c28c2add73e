//! Where lineage events go, and whose child the run is: variables of the environment that clients of
//! OpenLineage share (docs/lineage.md lists them). What cannot be used is a warning, never the end of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// No request takes longer: the longest that a user may ask for, and what holds where nobody asks.
const LONGEST: Duration = Duration::from_secs(5);

const TRANSPORT: &str = "OPENLINEAGE__TRANSPORT";
const OFF: &str = "no lineage events are sent, and the run goes on";

/// What the environment says of lineage.
#[derive(Debug)]
pub struct Settings {
    pub target: Target,
    /// Of the job.
    pub namespace: String,
    pub parent: Option<Parent>,
    /// The run at the top, where the environment names it.
    pub root: Option<Parent>,
}

/// Where events go.
#[derive(Debug)]
pub enum Target {
    Http(Endpoint),
    /// One line for each event.
    Append(PathBuf),
    /// A file for each event; this is how its name begins.
    Each(PathBuf),
    /// What is set cannot be used: every event is lost.
    Unusable,
}

/// A service that takes events.
pub struct Endpoint {
    /// Without credentials.
    pub url: Url,
    pub key: Option<String>,
    pub timeout: Duration,
}

/// Without the key.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

/// A run of another job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub namespace: String,
    pub job: String,
    pub run: Uuid,
}

impl Parent {
    /// `namespace/job/run id`, as `lineage_parent_id` of Airflow's provider writes it.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().rsplitn(3, '/');
        let (run, job, namespace) = (parts.next()?, parts.next()?, parts.next()?);
        let run = Uuid::parse_str(run).ok()?;
        let is_named = !job.is_empty() && !namespace.is_empty();
        is_named.then(|| Self { namespace: namespace.into(), job: job.into(), run })
    }
}

/// The variables of this process.
pub fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OPENLINEAGE"))
        .collect()
}

/// The settings, where events are wanted, and what is wrong with them: sentences that repeat no value that
/// may be a secret.
pub fn read(variables: &Variables) -> (Option<Settings>, Vec<String>) {
    let set = |name: &str| variables.get(name).map(|text| text.trim()).filter(|t| !t.is_empty());
    let mut warnings = Vec::new();
    if set("OPENLINEAGE_DISABLED").is_some_and(is_true) {
        return (None, warnings);
    }
    let target = match target(variables, &mut warnings) {
        Ok(Some(target)) => target,
        Ok(None) => {
            if set("OPENLINEAGE_CONFIG").is_some() {
                warnings.push(format!(
                    "OPENLINEAGE_CONFIG names a file, which is not read; set OPENLINEAGE_URL: {OFF}"
                ));
            }
            return (None, warnings);
        }
        Err(reason) => {
            warnings.push(format!("{reason}: {OFF}"));
            Target::Unusable
        }
    };
    let mut run = |name: &str| {
        let parent = Parent::parse(set(name)?);
        if parent.is_none() {
            warnings.push(format!(
                "{name} is not namespace/job/run id with a UUID at its end: lineage events do not name that run"
            ));
        }
        parent
    };
    let (parent, root) = (run("OPENLINEAGE_PARENT_ID"), run("OPENLINEAGE_ROOT_PARENT_ID"));
    if root.is_some() && set("OPENLINEAGE_PARENT_ID").is_none() {
        warnings.push(
            "OPENLINEAGE_ROOT_PARENT_ID is set without OPENLINEAGE_PARENT_ID: lineage events name neither".into(),
        );
    }
    let namespace = set("OPENLINEAGE_NAMESPACE").unwrap_or("default").to_string();
    (Some(Settings { target, namespace, parent, root }), warnings)
}

fn is_true(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// Where events go; `None` where nobody wants any. A transport that is set goes before the plain url; OpenLineage's
/// own clients pass over one without a type, which a warning says here.
///
/// # Errors
/// What is set and cannot be used.
fn target(variables: &Variables, warnings: &mut Vec<String>) -> Result<Option<Target>, String> {
    let set = |name: &str| variables.get(name).map(|text| text.trim()).filter(|t| !t.is_empty());
    let transport = transport(variables)?;
    let text = |key: &str| transport.get(key).and_then(Value::as_str).map(str::trim);
    // In a JSON object these may be a number or a bool.
    let typed = |key: &str| {
        let value = transport.get(key)?;
        Some(value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_string()))
    };
    let missing = |key: &str| format!("{TRANSPORT}__{key} is not set");
    match text("type").filter(|kind| !kind.is_empty()) {
        Some("http" | "async_http") => {
            let url = text("url").ok_or_else(|| missing("URL"))?;
            let auth = transport.get("auth");
            let key = ["apikey", "api_key", "apiKey"].iter().find_map(|key| auth?.get(key));
            let timeout = typed("timeout").and_then(|text| text.parse().ok());
            let named = "OPENLINEAGE__TRANSPORT__URL";
            let key = key.and_then(Value::as_str);
            let path = text("endpoint").map(|path| ("OPENLINEAGE__TRANSPORT__ENDPOINT", path));
            endpoint((named, url), path, key, timeout).map(Some)
        }
        Some("file") => {
            let path = text("log_file_path").or_else(|| text("location"));
            let path = PathBuf::from(path.ok_or_else(|| missing("LOG_FILE_PATH"))?);
            let appends = typed("append").as_deref().is_some_and(is_true);
            Ok(Some(if appends { Target::Append(path) } else { Target::Each(path) }))
        }
        Some("noop") => Ok(None),
        Some(_) => Err(format!("{TRANSPORT}__TYPE is none of http, file and noop")),
        None => {
            let has_no_type =
                || format!("{TRANSPORT} names no type (http, file or noop), and is passed over");
            let url = match (set("OPENLINEAGE_URL"), transport.is_empty()) {
                (None, true) => return Ok(None),
                (None, false) => return Err(has_no_type()),
                (Some(url), true) => url,
                (Some(url), false) => {
                    warnings.push(format!("{}: OPENLINEAGE_URL is taken", has_no_type()));
                    url
                }
            };
            let key = set("OPENLINEAGE_API_KEY");
            let path = set("OPENLINEAGE_ENDPOINT").map(|path| ("OPENLINEAGE_ENDPOINT", path));
            endpoint(("OPENLINEAGE_URL", url), path, key, None).map(Some)
        }
    }
}

/// The variables that describe the transport, as their nested keys: `…__AUTH__APIKEY` is `auth.apikey`. A value
/// that is a JSON object is one; that of the variable without a key must be one. As in OpenLineage's own clients,
/// a variable takes the place of those whose names go on after it.
///
/// # Errors
/// It is none; its value, which may hold a key, is not repeated.
fn transport(variables: &Variables) -> Result<Map<String, Value>, String> {
    let mut found = Value::Object(Map::new());
    for (name, text) in variables.iter().rev() {
        let Some(rest) = name.strip_prefix(TRANSPORT) else { continue };
        let keys: Vec<String> =
            rest.split("__").filter(|key| !key.is_empty()).map(str::to_ascii_lowercase).collect();
        let json = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        if keys.is_empty() && json.is_none() {
            if text.trim().is_empty() {
                continue;
            }
            return Err(format!(
                "{name} is no JSON object such as {{\"type\": \"http\", \"url\": \"http://host:5000\"}}"
            ));
        }
        put(&mut found, &keys, json.unwrap_or_else(|| text.clone().into()));
    }
    Ok(match found {
        Value::Object(found) => found,
        _ => Map::new(),
    })
}

fn put(at: &mut Value, keys: &[String], value: Value) {
    let Some((first, rest)) = keys.split_first() else {
        *at = value;
        return;
    };
    if let Value::Object(fields) = at {
        let below = fields.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
        put(below, rest, value);
    }
}

/// A service, or the file that a `file://` address names.
///
/// # Errors
/// What is wrong with the address or the key; neither is repeated.
fn endpoint(
    (name, text): (&str, &str),
    path: Option<(&str, &str)>,
    key: Option<&str>,
    seconds: Option<f64>,
) -> Result<Target, String> {
    let mut url =
        Url::parse(text).map_err(|_| format!("{name} is no address such as http://host:5000"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "{name} carries credentials; take them out (and change them: they stood in a variable that may be shown), and set OPENLINEAGE_API_KEY"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(no_query(name));
    }
    match url.scheme() {
        "http" | "https" => {}
        "file" => {
            let path = url.to_file_path();
            return path.map(Target::Append).map_err(|()| {
                format!("{name} is a file:// address without an absolute path, as in file:///var/log/lineage.ndjson")
            });
        }
        _ => return Err(format!("{name} is no http://, https:// or file:// address")),
    }
    if key.is_some_and(|key| key.chars().any(char::is_control)) {
        return Err("the API key holds a character that no request can carry, such as a line end; take it out".into());
    }
    if let Some((name, _)) = path.filter(|(_, path)| path.contains(['?', '#'])) {
        return Err(no_query(name));
    }
    let path = path.map_or("api/v1/lineage", |(_, path)| path).trim_start_matches('/');
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    let timeout = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    let timeout = timeout.filter(|t| !t.is_zero()).unwrap_or(LONGEST).min(LONGEST);
    Ok(Target::Http(Endpoint { url, key: key.map(str::to_string), timeout }))
}

/// Addresses are shown, and what stands behind these marks may be a secret.
fn no_query(name: &str) -> String {
    format!("{name} takes no ? or #; OPENLINEAGE_API_KEY holds what is secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        read(&set.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect())
    }

    fn shown(set: &[(&str, &str)]) -> String {
        let (settings, warnings) = of(set);
        assert!(warnings.is_empty(), "{warnings:?}");
        settings.map_or("off".into(), |settings| format!("{:?}", settings.target))
    }

    #[test]
    fn an_address_gets_the_path_that_services_listen_at() {
        for (url, endpoint, expected) in [
            ("http://marquez:5000", "", "http://marquez:5000/api/v1/lineage"),
            ("https://host/base/", "", "https://host/base/api/v1/lineage"),
            ("http://host", "/events", "http://host/events"),
        ] {
            let set = [("OPENLINEAGE_URL", url), ("OPENLINEAGE_ENDPOINT", endpoint)];
            assert_eq!(shown(&set), format!("Http({expected})"));
        }
        let set = [("OPENLINEAGE_URL", "file:///var/log/a%20b.ndjson")];
        assert_eq!(shown(&set), "Append(\"/var/log/a b.ndjson\")");
    }

    #[test]
    fn a_transport_goes_before_the_address() {
        let url = ("OPENLINEAGE_URL", "http://marquez:5000");
        let kind = |kind| ("OPENLINEAGE__TRANSPORT__TYPE", kind);
        let path = ("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", "/tmp/x");
        assert_eq!(shown(&[url, kind("file"), path]), "Each(\"/tmp/x\")");
        let append = ("OPENLINEAGE__TRANSPORT__APPEND", "true");
        assert_eq!(shown(&[url, kind("file"), path, append]), "Append(\"/tmp/x\")");
        assert_eq!(shown(&[url, kind("noop")]), "off");
        assert_eq!(shown(&[url, ("OPENLINEAGE_DISABLED", "True")]), "off");
        let whole = ("OPENLINEAGE__TRANSPORT", r#"{"type":"file","log_file_path":"/tmp/y"}"#);
        assert_eq!(shown(&[whole]), "Each(\"/tmp/y\")");
        let appends = r#"{"type":"file","log_file_path":"/tmp/y","append":true}"#;
        assert_eq!(shown(&[("OPENLINEAGE__TRANSPORT", appends)]), "Append(\"/tmp/y\")");
        assert_eq!(shown(&[]), "off");
    }

    #[test]
    fn what_is_set_as_a_whole_goes_before_its_parts() {
        let whole = ("OPENLINEAGE__TRANSPORT", r#"{"type":"http","url":"http://whole"}"#);
        let part = ("OPENLINEAGE__TRANSPORT__URL", "http://part");
        assert_eq!(shown(&[whole, part]), "Http(http://whole/api/v1/lineage)");
    }

    #[test]
    fn a_transport_without_a_type_is_passed_over_and_not_unsaid() {
        let part = ("OPENLINEAGE__TRANSPORT__URL", "http://hunter2");
        for transport in [part, ("OPENLINEAGE__TRANSPORT", r#"{"url":"http://hunter2","type":""}"#)]
        {
            let (settings, warnings) = of(&[transport, ("OPENLINEAGE_URL", "http://host")]);
            let target = format!("{:?}", settings.unwrap().target);
            assert_eq!(target, "Http(http://host/api/v1/lineage)");
            assert!(warnings[0].contains("names no type"), "{warnings:?}");
            let (settings, warnings) = of(&[transport]);
            assert!(matches!(settings.unwrap().target, Target::Unusable));
            assert!(warnings[0].contains("names no type") && !warnings[0].contains("hunter2"));
        }
    }

    #[test]
    fn a_key_is_taken_from_where_clients_put_it_and_never_shown() {
        let (kind, url) = (
            ("OPENLINEAGE__TRANSPORT__TYPE", "http"),
            ("OPENLINEAGE__TRANSPORT__URL", "http://host"),
        );
        for key in [
            ("OPENLINEAGE__TRANSPORT__AUTH__APIKEY", "hunter2"),
            ("OPENLINEAGE__TRANSPORT__AUTH__API_KEY", "hunter2"),
            ("OPENLINEAGE__TRANSPORT__AUTH", r#"{"type":"api_key","apiKey":"hunter2"}"#),
        ] {
            let (settings, _) = of(&[kind, url, key]);
            let settings = settings.unwrap();
            let Target::Http(endpoint) = &settings.target else { panic!("{settings:?}") };
            assert_eq!(endpoint.key.as_deref(), Some("hunter2"), "{key:?}");
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        for (name, text, says) in [
            ("OPENLINEAGE_URL", "hunter2", "OPENLINEAGE_URL is no address"),
            ("OPENLINEAGE_URL", "http://me:hunter2@host", "OPENLINEAGE_URL carries credentials"),
            ("OPENLINEAGE_URL", "http://host/?key=hunter2", "OPENLINEAGE_URL takes no ?"),
            ("OPENLINEAGE_URL", "kafka://hunter2", "no http://, https:// or file://"),
            ("OPENLINEAGE__TRANSPORT__TYPE", "hunter2", "none of http, file and noop"),
            ("OPENLINEAGE__TRANSPORT__TYPE", "http", "OPENLINEAGE__TRANSPORT__URL is not set"),
            ("OPENLINEAGE__TRANSPORT__TYPE", "file", "LOG_FILE_PATH is not set"),
        ] {
            let (settings, warnings) = of(&[(name, text)]);
            assert!(matches!(settings.unwrap().target, Target::Unusable), "{text}");
            assert!(warnings[0].contains(says) && !warnings[0].contains("hunter2"), "{warnings:?}");
        }
        let (settings, warnings) = of(&[("OPENLINEAGE_CONFIG", "/etc/openlineage.yml")]);
        assert!(settings.is_none() && warnings[0].contains("OPENLINEAGE_CONFIG"), "{warnings:?}");
    }

    #[test]
    fn a_parent_is_named_as_airflow_names_it() {
        let url = ("OPENLINEAGE_URL", "http://host");
        let id = "0193a5c1-7e2f-7b1a-8c3d-2f6e5a4b3c2d";
        let text = format!("airflow/prod/dag.task/{id}");
        let (settings, _) = of(&[url, ("OPENLINEAGE_PARENT_ID", &text)]);
        let parent = settings.unwrap().parent.unwrap();
        assert_eq!((parent.namespace.as_str(), parent.job.as_str()), ("airflow/prod", "dag.task"));
        assert_eq!(parent.run.to_string(), id);
        for wrong in ["dag.task", "a/b/c", "//0193a5c1-7e2f-7b1a-8c3d-2f6e5a4b3c2d"] {
            let (settings, warnings) = of(&[url, ("OPENLINEAGE_PARENT_ID", wrong)]);
            assert!(settings.unwrap().parent.is_none());
            assert!(warnings[0].contains("OPENLINEAGE_PARENT_ID"), "{warnings:?}");
        }
    }
}
