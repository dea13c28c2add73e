-- One row for each app and scope, and each way in which the app used the scope although it should not have.
-- key: grain, finding, scope, app_id
-- column: grain | string |  | scope_app.
-- column: finding | string |  | after_attestation, after_revocation, in_brownout, without_grant or after_grace: what the use came after, fell into, or lacked.
-- column: scope | string |  | Scope.
-- column: app_id | string |  | App; null for events that name no app.
-- column: app_name | string |  | From the registry.
-- column: developer_id | string |  | From the registry.
-- column: developer_name | string |  | From the registry.
-- column: requests_allowed | int64 | requests | Allowed, exercised requests of this kind.
-- column: subjects_observed | int64 | people | Distinct people reached by them.
-- column: subjects_upper_bound | int64 | people | Those, and members of groups that they read, by membership at that moment; null without registry.memberships.
-- column: subjects_unknown_rows | int64 | events | Events of this kind that name no subject and no group with a known member.
-- column: groups | int64 | groups | Distinct groups read by them.
-- column: first_access | timestamp[us, UTC] | UTC | The first of them.
-- column: last_access | timestamp[us, UTC] | UTC | The last of them.

WITH without_grant AS (
  SELECT u.cell, u.app_id
  FROM exposure_cells AS u
  LEFT JOIN (SELECT scope, app_id, TRUE AS is_capable FROM capable) AS c
    ON u.scope = c.scope AND u.app_id = c.app_id
  WHERE u.grain = 'scope_app' AND u.app_id IS NOT NULL AND c.is_capable IS NULL
)
SELECT grain, 'after_attestation' AS finding, scope, app_id, app_name, developer_id, developer_name,
       requests_after_attestation AS requests_allowed, subjects_after_attestation AS subjects_observed,
       subjects_upper_bound_after_attestation AS subjects_upper_bound,
       subjects_unknown_rows_after_attestation AS subjects_unknown_rows,
       groups_after_attestation AS groups, first_access_after_attestation AS first_access,
       last_access_after_attestation AS last_access
FROM exposure_cells
WHERE grain = 'scope_app' AND events_after_attestation > 0
UNION ALL
SELECT grain, 'after_revocation' AS finding, scope, app_id, app_name, developer_id, developer_name,
       requests_after_revocation AS requests_allowed, subjects_after_revocation AS subjects_observed,
       subjects_upper_bound_after_revocation AS subjects_upper_bound,
       subjects_unknown_rows_after_revocation AS subjects_unknown_rows,
       groups_after_revocation AS groups, first_access_after_revocation AS first_access,
       last_access_after_revocation AS last_access
FROM exposure_cells
WHERE grain = 'scope_app' AND events_after_revocation > 0
UNION ALL
SELECT grain, 'in_brownout' AS finding, scope, app_id, app_name, developer_id, developer_name,
       requests_in_brownout AS requests_allowed, subjects_in_brownout AS subjects_observed,
       subjects_upper_bound_in_brownout AS subjects_upper_bound,
       subjects_unknown_rows_in_brownout AS subjects_unknown_rows,
       groups_in_brownout AS groups, first_access_in_brownout AS first_access,
       last_access_in_brownout AS last_access
FROM exposure_cells
WHERE grain = 'scope_app' AND events_in_brownout > 0
UNION ALL
SELECT grain, 'after_grace' AS finding, scope, app_id, app_name, developer_id, developer_name,
       requests_after_grace AS requests_allowed, subjects_after_grace AS subjects_observed,
       subjects_upper_bound_after_grace AS subjects_upper_bound,
       subjects_unknown_rows_after_grace AS subjects_unknown_rows,
       groups_after_grace AS groups, first_access_after_grace AS first_access,
       last_access_after_grace AS last_access
FROM exposure_cells
WHERE grain = 'scope_app' AND events_after_grace > 0
UNION ALL
SELECT e.grain, 'without_grant' AS finding, e.scope, e.app_id, e.app_name, e.developer_id,
       e.developer_name, e.requests_allowed, e.subjects_observed, e.subjects_upper_bound,
       e.subjects_unknown_rows, e.groups, e.first_access, e.last_access
FROM exposure_cells AS e
CROSS JOIN (SELECT has_grants FROM run) AS r
JOIN (SELECT cell, TRUE AS is_without FROM without_grant) AS w ON e.cell = w.cell
WHERE e.events_allowed > 0 AND r.has_grants
