-- One row for each developer, and for each scope and developer: people are counted once over all apps of the developer.
-- key: grain, scope, developer_id
-- column: grain | string |  | scope_developer or developer (scope is (all)).
-- column: scope | string |  | Scope, or (all).
-- column: developer_id | string |  | From the registry; events of apps without a known developer are in no row.
-- column: developer_name | string |  | From the registry.
-- column: apps_used_after_restriction | int64 | apps | Apps of the developer with an allowed, exercised event.
-- column: restricted_at | timestamp[us, UTC] | UTC | When the scope was restricted; null where the scope is (all).
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

SELECT e.grain, e.scope, e.developer_id, e.developer_name,
       COALESCE(u.apps, 0) AS apps_used_after_restriction, e.restricted_at,
       e.requests_allowed,
       e.requests_denied,
       e.requests_unknown,
       e.requests_held_only,
       e.subjects_observed,
       e.subjects_upper_bound,
       e.upper_bound_complete,
       e.subjects_unknown_rows,
       e.actors,
       e.groups,
       e.records,
       e.bytes,
       e.first_access,
       e.last_access,
       e.active_days,
       e.requests_in_grace,
       e.subjects_in_grace,
       e.subjects_upper_bound_in_grace,
       e.subjects_unknown_rows_in_grace,
       e.requests_after_grace,
       e.subjects_after_grace,
       e.subjects_upper_bound_after_grace,
       e.subjects_unknown_rows_after_grace,
       e.requests_in_brownout,
       e.subjects_in_brownout,
       e.subjects_upper_bound_in_brownout,
       e.subjects_unknown_rows_in_brownout,
       e.requests_after_revocation,
       e.subjects_after_revocation,
       e.subjects_upper_bound_after_revocation,
       e.subjects_unknown_rows_after_revocation,
       e.requests_after_attestation,
       e.subjects_after_attestation,
       e.subjects_upper_bound_after_attestation,
       e.subjects_unknown_rows_after_attestation,
       e.requests_lookback,
       e.subjects_lookback,
       e.subjects_upper_bound_lookback,
       e.subjects_unknown_rows_lookback,
       e.groups_lookback,
       e.coverage_pct, e.verdict
FROM exposure_cells AS e
LEFT JOIN (SELECT scope, developer_id, COUNT(*) AS apps FROM exposure_cells
           WHERE grain IN ('scope_app', 'app')
             AND events_allowed > 0 AND app_id IS NOT NULL AND developer_id IS NOT NULL
           GROUP BY scope, developer_id) AS u
  ON e.scope = u.scope AND e.developer_id = u.developer_id
WHERE e.grain IN ('scope_developer', 'developer')
