//! Rows about what an app should not have done: after a promise of deletion, or by what was wrong.

use super::cells::CellRow;
use super::conditions::Asking;
use super::row::Row;
use super::sums::Measure;
use super::tables::REQUESTS_AND_PEOPLE;
use crate::error::Error;
use crate::exposure::{Grain, Window};
use crate::moment::Moment;

/// A row of `deletion_verification`: the only promise of the app, or that of the time that is given.
pub fn promise(asking: &Asking<'_>) -> Result<Row, Error> {
    let columns = [
        (Measure::Requests, "requests_after"),
        (Measure::People, "subjects_after"),
        (Measure::Denied, "requests_denied_after"),
        (Measure::Unknown, "requests_unknown_after"),
    ];
    // Who promises may name a scope that nobody restricted: nothing came after that.
    let mut row = CellRow::of_any_scope(asking, &columns)?.with_app(asking);
    let given = asking.of.moment("attested_at")?;
    let cell = &mut row.figure.cell;
    let all = asking.prepared.registry.attestations.iter().flatten();
    let mut moments: Vec<Moment> = all
        .filter(|promise| Some(&promise.app) == cell.app.as_ref())
        .filter(|promise| promise.scope == cell.scope)
        .filter_map(|promise| promise.attested_at)
        // The table shows whole microseconds.
        .filter(|found| given.is_none_or(|given| given.micros == found.micros))
        .collect();
    moments.dedup();
    let [at] = moments.as_slice() else {
        return Err(Error::argument(
            "--where",
            format!(
                "{} promises of the registry are of this app_id and scope{}; name one with app_id=…, scope=… (none where it is about all scopes) and attested_at=…",
                moments.len(),
                if given.is_some() { ", given at that time" } else { "" }
            ),
        ));
    };
    cell.grain = Grain::Attestation;
    cell.attested_at = Some(*at);
    let mut shown = String::new();
    at.write_rfc3339_micros(&mut shown);
    Ok(row.keyed("attested_at", shown).row())
}

/// A row of `findings`, which is about one app, one scope and one of its windows; use without a grant about
/// all that came after the restriction.
pub fn finding(asking: &Asking<'_>) -> Result<Row, Error> {
    let mut row = CellRow::of_scope(asking, &REQUESTS_AND_PEOPLE)?.with_app(asking);
    let given = asking.of.get("finding");
    let window = match given {
        Some("without_grant") => Some(Window::AfterRestriction),
        Some("in_grace" | "lookback" | "after_restriction") | None => None,
        Some(name) => Window::named(name),
    };
    let Some((window, name)) = window.zip(given) else {
        return Err(Error::argument(
            format!("--where finding={}", given.unwrap_or_default()),
            "a row of findings is of one kind; give finding=after_attestation, after_revocation, in_brownout, without_grant or after_grace",
        ));
    };
    if row.figure.cell.grain != Grain::ScopeApp {
        return Err(Error::argument(
            "--where",
            "a row of findings is of one scope and one app; give scope=… and app_id=…",
        ));
    }
    row.figure.window = Some(window);
    Ok(row.keyed("finding", name.into()).row())
}
