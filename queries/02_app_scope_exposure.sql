-- One row for each scope and app that was used, was refused or held the scope after the restriction; totals carry (all).
-- key: grain, scope, app_id
-- column: grain | string |  | scope_app, app (scope is (all)), scope (app is (all)) or all.
-- column: scope | string |  | Scope, or (all).
-- column: app_id | string |  | App, or (all); null on the row of events that name no app.
-- column: app_name | string |  | From the registry; null where the app is in no row of it.
-- column: developer_id | string |  | The app's developer, (all) on totals; null where it is not known.
-- column: developer_name | string |  | From the registry.
-- column: restricted_at | timestamp[us, UTC] | UTC | When the scope was restricted; null where the scope is (all).
-- column: grace_until | timestamp[us, UTC] | UTC | End of the app's grace for the scope; null without one.
-- column: requests_allowed | int64 | requests | Sum of weights of allowed, exercised events.
-- column: requests_denied | int64 | requests | Of denied events, whatever was exercised.
-- column: requests_unknown | int64 | requests | Of events whose outcome is unknown.
-- column: requests_held_only | int64 | requests | Of allowed events none of whose scopes that count here was exercised.
-- column: subjects_observed | int64 | people | Distinct people whose data was reached.
-- column: subjects_upper_bound | int64 | people | Those, and every member of every group that was read, by membership at that moment; null without registry.memberships.
-- column: upper_bound_complete | bool |  | Whether every event named a subject or a group that had a member then: only then is the upper bound one; null without registry.memberships.
-- column: subjects_unknown_rows | int64 | events | Events that name no subject and no group with a known member.
-- column: actors | int64 | people | Distinct holders of the tokens.
-- column: groups | int64 | groups | Distinct groups read.
-- column: records | int64 | records | Sum of known values; null if none is known.
-- column: bytes | int64 | bytes | Sum of known values; null if none is known.
-- column: first_access | timestamp[us, UTC] | UTC | First allowed, exercised event, floored to the microsecond.
-- column: last_access | timestamp[us, UTC] | UTC | Last allowed, exercised event, floored to the microsecond.
-- column: active_days | int64 | UTC days | Days with an allowed, exercised event.
-- column: requests_in_grace | int64 | requests | Requests within the grace of the app.
-- column: subjects_in_grace | int64 | people | Distinct people within the grace of the app.
-- column: subjects_upper_bound_in_grace | int64 | people | The same, and members of groups that were read within the grace of the app; null without registry.memberships.
-- column: subjects_unknown_rows_in_grace | int64 | events | Events within the grace of the app that name no subject and no group with a known member.
-- column: requests_after_grace | int64 | requests | Requests at or after the end of the grace, or of the restriction without one.
-- column: subjects_after_grace | int64 | people | Distinct people at or after the end of the grace, or of the restriction without one.
-- column: subjects_upper_bound_after_grace | int64 | people | The same, and members of groups that were read at or after the end of the grace, or of the restriction without one; null without registry.memberships.
-- column: subjects_unknown_rows_after_grace | int64 | events | Events at or after the end of the grace, or of the restriction without one that name no subject and no group with a known member.
-- column: requests_in_brownout | int64 | requests | Requests in windows in which calls must fail; null without registry.brownouts.
-- column: subjects_in_brownout | int64 | people | Distinct people in windows in which calls must fail; null without registry.brownouts.
-- column: subjects_upper_bound_in_brownout | int64 | people | The same, and members of groups that were read in windows in which calls must fail; null without registry.memberships or registry.brownouts.
-- column: subjects_unknown_rows_in_brownout | int64 | events | Events in windows in which calls must fail that name no subject and no group with a known member; null without registry.brownouts.
-- column: requests_after_revocation | int64 | requests | Requests after the grant was revoked and before it was given again; null without registry.grants.
-- column: subjects_after_revocation | int64 | people | Distinct people after the grant was revoked and before it was given again; null without registry.grants.
-- column: subjects_upper_bound_after_revocation | int64 | people | The same, and members of groups that were read after the grant was revoked and before it was given again; null without registry.memberships or registry.grants.
-- column: subjects_unknown_rows_after_revocation | int64 | events | Events after the grant was revoked and before it was given again that name no subject and no group with a known member; null without registry.grants.
-- column: requests_after_attestation | int64 | requests | Requests at or after a promise of deletion; null without registry.attestations.
-- column: subjects_after_attestation | int64 | people | Distinct people at or after a promise of deletion; null without registry.attestations.
-- column: subjects_upper_bound_after_attestation | int64 | people | The same, and members of groups that were read at or after a promise of deletion; null without registry.memberships or registry.attestations.
-- column: subjects_unknown_rows_after_attestation | int64 | events | Events at or after a promise of deletion that name no subject and no group with a known member; null without registry.attestations.
-- column: requests_lookback | int64 | requests | Requests in the lookback before as_of.
-- column: subjects_lookback | int64 | people | Distinct people in the lookback before as_of.
-- column: subjects_upper_bound_lookback | int64 | people | The same, and members of groups that were read in the lookback before as_of; null without registry.memberships.
-- column: subjects_unknown_rows_lookback | int64 | events | Events in the lookback before as_of that name no subject and no group with a known member.
-- column: groups_lookback | int64 | groups | Distinct groups in the lookback before as_of.
-- column: coverage_pct | float64 | percent | Share of declared periods with rows in readable files: what a zero rests on; null where no source declares any.
-- column: verdict | string |  | complete; incomplete where files were left out.

SELECT grain, scope, app_id, app_name, developer_id, developer_name,
       restricted_at, grace_until,
       requests_allowed,
       requests_denied,
       requests_unknown,
       requests_held_only,
       subjects_observed,
       subjects_upper_bound,
       upper_bound_complete,
       subjects_unknown_rows,
       actors,
       groups,
       records,
       bytes,
       first_access,
       last_access,
       active_days,
       requests_in_grace,
       subjects_in_grace,
       subjects_upper_bound_in_grace,
       subjects_unknown_rows_in_grace,
       requests_after_grace,
       subjects_after_grace,
       subjects_upper_bound_after_grace,
       subjects_unknown_rows_after_grace,
       requests_in_brownout,
       subjects_in_brownout,
       subjects_upper_bound_in_brownout,
       subjects_unknown_rows_in_brownout,
       requests_after_revocation,
       subjects_after_revocation,
       subjects_upper_bound_after_revocation,
       subjects_unknown_rows_after_revocation,
       requests_after_attestation,
       subjects_after_attestation,
       subjects_upper_bound_after_attestation,
       subjects_unknown_rows_after_attestation,
       requests_lookback,
       subjects_lookback,
       subjects_upper_bound_lookback,
       subjects_unknown_rows_lookback,
       groups_lookback,
       coverage_pct, verdict
FROM exposure_cells
WHERE grain IN ('scope_app', 'app', 'scope', 'all')
