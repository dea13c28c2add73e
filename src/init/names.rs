//! What names of columns mean in access logs.

use super::role::Role;
use super::words::normal;

/// A name that public logs use for the role.
pub const KNOWN: i32 = 10;
/// A name that is usual for it.
pub const USUAL: i32 = 8;
/// A name that may mean it.
pub const MAY: i32 = 5;
/// A name that may mean it, and mostly does not.
const FAINT: i32 = 3;
/// The least that is worth a choice.
pub const LEAST: i32 = FAINT;
/// What a name is less that only ends in words of the table.
const ENDS: i32 = 3;

/// Names by role and weight, in the form of [`normal`]: a name with dots stands for the end of a path. `*name` stands
/// for names that end in it, too, at less weight. The names of public logs are those of Microsoft Graph,
/// Google Workspace and Cloud, AWS CloudTrail, OCSF, Okta, GitHub, Salesforce, Databricks and web servers.
const NAMES: &[(Role, i32, &[&str])] = &[
    (
        Role::Time,
        KNOWN,
        &[
            "*event_time",
            "time_generated",
            "*timestamp",
            "time",
            "published",
            "occurred_at",
            "*request_time",
            "call_time",
            "called_at",
            "access_time",
        ],
    ),
    (Role::Time, USUAL, &["created_at", "logged_at", "ts", "datetime", "date_time", "at"]),
    (
        Role::Time,
        MAY,
        &[
            "date",
            "created",
            "start_time",
            "*started_at",
            "occurred",
            "received_at",
            "ingested_at",
            "ingestion_time",
        ],
    ),
    (Role::Time, FAINT, &["end_time", "updated_at", "creation_date"]),
    (
        Role::App,
        KNOWN,
        &[
            "*app_id",
            "*client_id",
            "*application_id",
            "oauth_application_id",
            "connected_app_identifier",
            "*app_uid",
            "client.id",
            "azp",
            "consumer_key",
        ],
    ),
    (Role::App, USUAL, &["app", "client", "application", "consumer_id", "integration_id"]),
    (Role::App, 7, &["service_principal_id"]),
    (Role::App, 6, &["*app_name", "client_name"]),
    (
        Role::App,
        MAY,
        &[
            "user_agent",
            "http_user_agent",
            "raw_user_agent",
            "caller_supplied_user_agent",
            "access_key_id",
            "session_issuer.arn",
            "application_name",
            "api_key",
        ],
    ),
    (Role::App, FAINT, &["invoked_by"]),
    (
        Role::Scopes,
        KNOWN,
        &[
            "*scope",
            "*scopes",
            "token_scopes",
            "granted_scopes",
            "scp",
            "permission",
            "permissions",
            "roles",
            "event_source+event_name",
        ],
    ),
    (Role::Scopes, USUAL, &["privilege", "privileges", "grants", "api_permission"]),
    (
        Role::Subject,
        KNOWN,
        &[
            "subject_id",
            "subject",
            "subject_user_id",
            "target_user_id",
            "data_subject_id",
            "resource_owner_id",
            "profile_owner_id",
            "viewed_user_id",
            "affected_user_id",
            "*owner_id",
            "target_user",
            "data_subject",
            "resource_owner",
            "impersonated_user_id",
            "impersonated_user",
            "on_behalf_of",
        ],
    ),
    (Role::Subject, USUAL, &["owner"]),
    (Role::Subject, FAINT, &["target", "target_id", "resource_id"]),
    (
        Role::Actor,
        KNOWN,
        &[
            "actor_id",
            "actor",
            "actor.id",
            "actor.profile_id",
            "actor.user.uid",
            "actor.user_id",
            "actor.uid",
            "user_identity.arn",
            "user_identity.principal_id",
            "caller_id",
            "user_identifier",
        ],
    ),
    (
        Role::Actor,
        USUAL,
        &["requester_id", "initiator_id", "principal_id", "principal", "caller", "requester"],
    ),
    (Role::Actor, MAY, &["actor.email", "actor_email"]),
    (Role::Person, KNOWN, &["*user_id", "userid", "user.uid"]),
    (
        Role::Person,
        USUAL,
        &["uid", "user", "remote_user", "member_id", "person_id", "profile_id", "sub"],
    ),
    (
        Role::Person,
        6,
        &["*user_name", "*username", "*email", "login", "user_principal_name", "upn"],
    ),
    (Role::Person, MAY, &["account_id"]),
    // Beside it TenantId is the workspace that the logs of Microsoft Graph were written to.
    (Role::Group, 13, &["aad_tenant_id"]),
    (
        Role::Group,
        KNOWN,
        &[
            "*group_id",
            "*tenant_id",
            "*tenant_uid",
            "*org_id",
            "*organization_id",
            "recipient_account_id",
            "*site_id",
            "*workspace_id",
            "*business_id",
            "*team_id",
            "group",
            "tenant",
        ],
    ),
    (Role::Group, USUAL, &["customer_id", "org", "organization", "site", "workspace", "team"]),
    (Role::Group, MAY, &["account_id", "project_id"]),
    (
        Role::Status,
        KNOWN,
        &[
            "status",
            "*status_code",
            "http_status",
            "outcome.result",
            "outcome",
            "*response_code",
            "http_response.code",
            "status_id",
            "error_code",
            "http_code",
            "status.code",
        ],
    ),
    (
        Role::Status,
        USUAL,
        &[
            "*result",
            "*outcome",
            "success",
            "succeeded",
            "allowed",
            "is_allowed",
            "authorized",
            "is_authorized",
            "permitted",
            "is_permitted",
            "denied",
            "is_denied",
            "was_denied",
            "rejected",
            "is_rejected",
            "blocked",
            "is_blocked",
            "failed",
            "verdict",
            "effect",
            "denial_reason",
            "reject_reason",
            "ok",
            "decision",
            "is_error",
            "is_success",
            "result_code",
            "result.code",
            "outcome.code",
            "response.code",
            "outcome_result",
        ],
    ),
    (Role::Status, 6, &["*status", "response", "rc", "return_code"]),
    (Role::Status, FAINT, &["error", "error_message"]),
    (
        Role::Bytes,
        KNOWN,
        &[
            "*bytes",
            "response_size",
            "*bytes_sent",
            "bytes_out",
            "bytes_transferred_out",
            "http_response.length",
        ],
    ),
    (Role::Bytes, USUAL, &["content_length", "size"]),
    (
        Role::Records,
        KNOWN,
        &["records", "record_count", "rows_returned", "row_count", "num_records", "result_count"],
    ),
    (Role::Records, USUAL, &["rows", "rows_processed", "item_count"]),
    (
        Role::Fields,
        KNOWN,
        &["fields", "returned_fields", "requested_fields", "field_names", "data_fields"],
    ),
    (Role::Weight, KNOWN, &["weight", "count", "call_count", "request_count", "event_count"]),
    (
        Role::EventId,
        12,
        &["*event_id", "event.id", "event_uuid", "event_uid", "id.time+id.unique_qualifier"],
    ),
    (
        Role::EventId,
        9,
        &[
            "*request_id",
            "request.id",
            "req_id",
            "request_identifier",
            "uuid",
            "metadata.uid",
            "document_id",
            "insert_id",
            "log_id",
        ],
    ),
    (Role::EventId, 6, &["id", "message_id", "jti"]),
    (Role::EventId, FAINT, &["correlation_id", "operation_id", "trace_id"]),
    (
        Role::Endpoint,
        KNOWN,
        &[
            "endpoint",
            "*request_uri",
            "route",
            "request_path",
            "http_request.url",
            "api.operation",
            "api_resource",
        ],
    ),
    (Role::Endpoint, USUAL, &["path", "url", "uri", "request_url", "operation", "resource"]),
    (Role::Endpoint, MAY, &["method_name", "action_name"]),
    (
        Role::Method,
        KNOWN,
        &["method", "request_method", "http_method", "verb", "http_request.http_method"],
    ),
];

/// Names that end as those of the table and mean something else.
const OTHERS: &[(Role, &[&str])] = &[
    (Role::Scopes, &["instrumentation_scope", "variable_scope"]),
    (
        Role::Bytes,
        &[
            "request_bytes",
            "bytes_received",
            "received_bytes",
            "request_size",
            "request.size",
            "request.bytes",
        ],
    ),
];

/// Words in names of scopes that a call was refused, lacked, or only asked for.
pub const NOT_EXERCISED: [&str; 16] = [
    "required",
    "denied",
    "rejected",
    "refused",
    "declined",
    "forbidden",
    "blocked",
    "disallowed",
    "unauthorized",
    "insufficient",
    "missing",
    "invalid",
    "revoked",
    "removed",
    "expired",
    "requested",
];

/// Columns that together are one value: the names of both, and what stands between.
pub const TOGETHER: [(&str, &str, &str); 2] =
    [("event_source", ":", "event_name"), ("id.time", "/", "id.unique_qualifier")];

/// How much a name, in the form of [`normal`], speaks for a role; 0 where the table does not know it.
pub fn weight(role: Role, name: &str) -> i32 {
    let mut others = OTHERS.iter().filter(|(of, _)| *of == role).flat_map(|(_, names)| *names);
    if others.any(|other| name == *other || name.ends_with(&format!(".{other}"))) {
        return 0;
    }
    // `scopes_denied` is read as `denied_scopes`: `fit` says what that is.
    if role == Role::Scopes
        && let Some((scopes, word)) = name.rsplit_once('_')
        && NOT_EXERCISED.contains(&word)
    {
        return (weight(role, scopes) - ENDS).max(0);
    }
    let rows = NAMES.iter().filter(|(of, ..)| *of == role);
    let found = rows.filter_map(|(_, weight, names)| {
        let of = names.iter().filter_map(|entry| {
            let ends = entry.strip_prefix('*');
            let known = ends.unwrap_or(entry);
            let before = name.strip_suffix(known)?;
            match before.chars().next_back() {
                None | Some('.') => Some(*weight),
                Some('_') if ends.is_some() => Some(weight - ENDS),
                _ => None,
            }
        });
        of.max()
    });
    found.max().unwrap_or(0)
}

/// Whether a name is one that people, or secrets, are kept under.
pub fn names_people(name: &str) -> bool {
    let name = normal(name);
    let of_people = [Role::Subject, Role::Actor, Role::Person];
    of_people.into_iter().any(|role| weight(role, &name) >= LEAST) || is_secret(&name)
}

/// Whether a name, in the form of [`normal`], is that of what opens a door.
pub fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let says = |wanted: &str| last.split('_').any(|word| word == wanted);
    let is_key = says("key") && says("api");
    is_key || ["secret", "password", "token", "authorization"].into_iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_speaks_for_its_role_by_its_last_words() {
        for (role, name, wanted) in [
            (Role::Time, "event_time", 10),
            (Role::Time, "id.time", 10),
            (Role::Time, "first_event_time", 7),
            (Role::Time, "lifetime", 0),
            (Role::Time, "response_time", 0),
            (Role::App, "oauth_application_id", 10),
            (Role::App, "partner_client_id", 7),
            (Role::App, "client.id", 10),
            (Role::App, "actor.id", 0),
            (Role::App, "user_identity.session_context.session_issuer.arn", 5),
            (Role::Actor, "user_identity.arn", 10),
            (Role::Person, "user_id", 10),
            (Role::EventId, "user_id", 0),
            (Role::EventId, "actor.id", 6),
            (Role::EventId, "request_id", 9),
            (Role::Group, "recipient_account_id", 10),
            (Role::Status, "mfa_status", 3),
            (Role::Status, "authorization_result", 5),
            (Role::Scopes, "debug_data.granted_scopes", 10),
            (Role::Scopes, "used_scopes", 7),
            (Role::Scopes, "denied_scopes", 7),
            (Role::Scopes, "scopes_denied", 7),
            (Role::Scopes, "scp_denied", 7),
            (Role::Scopes, "access_denied", 0),
        ] {
            assert_eq!(weight(role, name), wanted, "{role:?} {name}");
        }
    }
}
