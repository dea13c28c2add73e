-- One row for each promise of deletion of the registry: what its app did after it, and what follows.
-- key: grain, app_id, scope, attested_at
-- column: grain | string |  | attestation.
-- column: app_id | string |  | App.
-- column: app_name | string |  | From the registry.
-- column: developer_id | string |  | From the registry.
-- column: developer_name | string |  | From the registry.
-- column: scope | string |  | Scope that the promise is about; (all) where it is about all of them.
-- column: asked_at | timestamp[us, UTC] | UTC | When the developer was asked; null where the registry does not say.
-- column: attested_at | timestamp[us, UTC] | UTC | When the developer promised; null where it has not.
-- column: statement | string |  | The promise, from the registry.
-- column: requests_after | int64 | requests | Allowed, exercised requests at or after attested_at; null without a promise before as_of. So are the next.
-- column: requests_denied_after | int64 | requests | Denied requests after it.
-- column: requests_unknown_after | int64 | requests | Requests after it whose outcome is unknown.
-- column: subjects_after | int64 | people | Distinct people reached after it.
-- column: subjects_upper_bound_after | int64 | people | Those, and members of groups that were read after it, by membership at that moment; null without registry.memberships.
-- column: subjects_unknown_rows_after | int64 | events | Events after it that name no subject and no group with a known member.
-- column: groups_after | int64 | groups | Distinct groups read after it.
-- column: first_after | timestamp[us, UTC] | UTC | First allowed, exercised event after it.
-- column: last_after | timestamp[us, UTC] | UTC | Last allowed, exercised event after it.
-- column: regrants | int64 | grants | Grants of its scopes that begin at or after attested_at; null without registry.grants.
-- column: rows_late | int64 | rows | Rows of log files that the report that this one follows did not have, of days since attested_at or of no known day (files_late in coverage): they may have changed the verdict; null where it follows none.
-- column: coverage_pct_after | float64 | percent | Share of the days declared since with rows in readable files; null where no source declares any.
-- column: verdict | string |  | violated where any allowed access came after; clean where none did and nothing can have been missed; else inconclusive; not_attested without a promise before as_of (docs/counting.md, rule 16).

SELECT 'attestation' AS grain, app_id, app_name, developer_id, developer_name, scope, asked_at,
       attested_at, statement, requests_after, requests_denied_after, requests_unknown_after,
       subjects_after, subjects_upper_bound_after, subjects_unknown_rows_after, groups_after,
       first_after, last_after, regrants, rows_late,
       coverage_pct_after,
       CASE
         WHEN events_after IS NULL THEN 'not_attested'
         WHEN events_after > 0 THEN 'violated'
         WHEN is_whole_after AND events_unsettled_after = 0 AND coverage_pct_after = 100.0 THEN 'clean'
         ELSE 'inconclusive'
       END AS verdict
FROM attestations
