//! What each registry file holds, read from its table.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Table, Unique};
use super::{App, Attestation, Brownout, Endpoint, Grant, RegistryError, Scope};
use crate::moment::{Moment, Zone};

pub(super) fn scopes(table: &Table, zone: Zone) -> Result<BTreeMap<String, Scope>, RegistryError> {
    let (scope, at) = (table.required("scope")?, table.required("deprecated_at")?);
    let (fields, special) = (table.optional("data_fields"), table.optional("special_fields"));
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let name = table.text(row, scope, "scope")?;
        let restricted_at = table.moment(row, at, "deprecated_at", zone)?;
        let list = |column: Option<usize>| -> Vec<String> {
            let text = column.and_then(|i| row.value(i)).unwrap_or_default();
            text.split(';').map(str::trim).filter(|f| !f.is_empty()).map(str::to_string).collect()
        };
        let (data_fields, special_fields) =
            (list(fields), special.map(|column| list(Some(column))));
        for field in special_fields.iter().flatten() {
            if !data_fields.contains(field) {
                let reason = format!("`{field}` is none of data_fields");
                return Err(table.bad(row, "special_fields", reason));
            }
        }
        let what = format!("scope `{name}`");
        unique.insert(row, name, Scope { restricted_at, data_fields, special_fields }, &what)
    })?;
    let scopes = unique.finish();
    if scopes.is_empty() {
        return Err(RegistryError::NoScopes { file: table.file.clone() });
    }
    Ok(scopes)
}

pub(super) fn apps(table: &Table) -> Result<BTreeMap<String, App>, RegistryError> {
    let id = table.required("app_id")?;
    let name = table.optional("app_name");
    let developer_id = table.optional("developer_id");
    let developer_name = table.optional("developer_name");
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let app = table.text(row, id, "app_id")?;
        let value = |column: Option<usize>| column.and_then(|i| row.value(i)).map(str::to_string);
        let details = App {
            name: value(name),
            developer_id: value(developer_id),
            developer_name: value(developer_name),
        };
        let what = format!("app `{app}`");
        unique.insert(row, app, details, &what)
    })?;
    Ok(unique.finish())
}

pub(super) fn extensions(
    table: &Table,
    zone: Zone,
) -> Result<BTreeMap<(String, String), Moment>, RegistryError> {
    let (app, scope) = (table.required("app_id")?, table.required("scope")?);
    let until = table.required("grace_until")?;
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let key = (table.text(row, app, "app_id")?, table.text(row, scope, "scope")?);
        let moment = table.moment(row, until, "grace_until", zone)?;
        let what = format!("the extension of app `{}` for scope `{}`", key.0, key.1);
        unique.insert(row, key, moment, &what)
    })?;
    Ok(unique.finish())
}

pub(super) fn endpoints(table: &Table) -> Result<Vec<Endpoint>, RegistryError> {
    let (path, scope) = (table.required("path")?, table.required("scope")?);
    let method = table.optional("method");
    let mut grouped: BTreeMap<(Option<String>, String), BTreeSet<String>> = BTreeMap::new();
    table.each_row(|row| {
        let method = method.and_then(|i| row.value(i)).map(str::to_ascii_uppercase);
        let path = table.text(row, path, "path")?;
        grouped.entry((method, path)).or_default().insert(table.text(row, scope, "scope")?);
        Ok(())
    })?;
    Ok(grouped
        .into_iter()
        .map(|((method, path), scopes)| Endpoint { method, path, scopes })
        .collect())
}

/// Grants by app and scope. A row that carries `as_of` says what was known then: of several that speak of
/// one grant (app, scope and beginning) the latest that `as_of` of the run does not precede holds.
pub(super) fn grants(
    table: &Table,
    zone: Zone,
    as_of: Moment,
) -> Result<BTreeMap<(String, String), Vec<Grant>>, RegistryError> {
    let (app, scope) = (table.required("app_id")?, table.required("scope")?);
    let (from, to) = (table.optional("granted_at"), table.optional("revoked_at"));
    let known = table.optional("as_of");
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let pair = (table.text(row, app, "app_id")?, table.text(row, scope, "scope")?);
        let granted_at = table.moment_or_none(row, from, "granted_at", zone)?;
        let revoked_at = table.moment_or_none(row, to, "revoked_at", zone)?;
        if let (Some(granted), Some(revoked)) = (granted_at, revoked_at)
            && revoked <= granted
        {
            let reason = format!("{revoked} is not after granted_at, {granted}");
            return Err(table.bad(row, "revoked_at", reason));
        }
        let known = table.moment_or_none(row, known, "as_of", zone)?;
        let what = format!("the grant of scope `{}` to app `{}`", pair.1, pair.0);
        unique.insert(row, (pair, granted_at, known), revoked_at, &what)
    })?;
    let mut latest: BTreeMap<_, Option<Moment>> = BTreeMap::new();
    // In the order of `as_of`: what was known later replaces what was known before.
    for ((pair, granted_at, known), revoked_at) in unique.finish() {
        if known.is_none_or(|known| known <= as_of) {
            latest.insert((pair, granted_at), revoked_at);
        }
    }
    let mut grants: BTreeMap<(String, String), Vec<Grant>> = BTreeMap::new();
    for ((pair, granted_at), revoked_at) in latest {
        grants.entry(pair).or_default().push(Grant { granted_at, revoked_at });
    }
    Ok(grants)
}

pub(super) fn brownouts(table: &Table, zone: Zone) -> Result<Vec<Brownout>, RegistryError> {
    let scope = table.required("scope")?;
    let (from, to) = (table.required("from")?, table.required("to")?);
    let app = table.optional("app_id");
    let mut brownouts = BTreeSet::new();
    table.each_row(|row| {
        let brownout = Brownout {
            scope: table.text(row, scope, "scope")?,
            app: table.text_or_none(row, app, "app_id")?,
            from: table.moment(row, from, "from", zone)?,
            to: table.moment(row, to, "to", zone)?,
        };
        if brownout.to <= brownout.from {
            let reason = format!("{} is not after from, {}", brownout.to, brownout.from);
            return Err(table.bad(row, "to", reason));
        }
        brownouts.insert(brownout);
        Ok(())
    })?;
    Ok(brownouts.into_iter().collect())
}

pub(super) fn attestations(table: &Table, zone: Zone) -> Result<Vec<Attestation>, RegistryError> {
    let app = table.required("app_id")?;
    let (asked, attested) = (table.required("asked_at")?, table.required("attested_at")?);
    let (scope, statement) = (table.optional("scope"), table.optional("statement"));
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let app = table.text(row, app, "app_id")?;
        let scope = table.text_or_none(row, scope, "scope")?.filter(|scope| scope != "all");
        let asked_at = table.moment_or_none(row, Some(asked), "asked_at", zone)?;
        let attested_at = table.moment_or_none(row, Some(attested), "attested_at", zone)?;
        if let (Some(asked), Some(attested)) = (asked_at, attested_at)
            && attested < asked
        {
            let reason = format!("{attested} is before asked_at, {asked}");
            return Err(table.bad(row, "attested_at", reason));
        }
        if asked_at.is_none() && attested_at.is_none() {
            return Err(table.bad(row, "asked_at", "is empty, and so is attested_at"));
        }
        let statement = statement.and_then(|i| row.value(i)).map(str::to_string);
        let of = scope.as_deref().unwrap_or("all its scopes");
        let what = format!("the attestation of app `{app}` for {of} at that moment");
        unique.insert(row, (app, scope, attested_at), (asked_at, statement), &what)
    })?;
    let rows = unique.finish().into_iter();
    Ok(rows
        .map(|((app, scope, attested_at), (asked_at, statement))| Attestation {
            app,
            scope,
            asked_at,
            attested_at,
            statement,
        })
        .collect())
}
