-- One row for each restricted scope of the registry, used or not, and one for all.
-- key: grain, scope
-- column: grain | string |  | scope or all.
-- column: scope | string |  | Scope, or (all).
-- column: status | string |  | restricted; not_yet_restricted (at or after as_of); null for (all).
-- column: restricted_at | timestamp[us, UTC] | UTC | When the scope was restricted; null for (all).
-- column: apps_capable | int64 | apps | Apps with a grant that holds between the restriction and as_of; null without registry.grants.
-- column: apps_used_after_restriction | int64 | apps | Apps with an allowed, exercised event; apps in no registry row count too.
-- column: apps_used_lookback | int64 | apps | Of them, those with one in the lookback before as_of.
-- column: apps_used_without_grant | int64 | apps | Apps that used a scope without such a grant of it; null without registry.grants.
-- column: developers_capable | int64 | developers | Known developers of the capable apps; null without registry.grants.
-- column: developers_used_after_restriction | int64 | developers | Developers of those apps, as far as they are known.
-- column: developers_used_lookback | int64 | developers | Of them, those used in the lookback.
-- column: developers_used_without_grant | int64 | developers | Known developers of the apps that used a scope without a grant of it; null without registry.grants.
-- column: developers_unknown_apps | int64 | apps | Apps used after the restriction whose developer is not known.
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
-- column: requests_lookback | int64 | requests | Requests in the lookback before as_of.
-- column: subjects_lookback | int64 | people | Distinct people in the lookback before as_of.
-- column: subjects_upper_bound_lookback | int64 | people | The same, and members of groups that were read in the lookback before as_of; null without registry.memberships.
-- column: subjects_unknown_rows_lookback | int64 | events | Events in the lookback before as_of that name no subject and no group with a known member.
-- column: coverage_pct | float64 | percent | Share of declared periods with rows in readable files; null where no source declares any.
-- column: verdict | string |  | complete; incomplete where files were left out.

WITH wanted AS (
  SELECT 'scope' AS grain, scope, status, restricted_at FROM scopes
  UNION ALL
  SELECT 'all' AS grain, '(all)' AS scope, CAST(NULL AS VARCHAR) AS status,
         CAST(NULL AS TIMESTAMP) AS restricted_at FROM run
),
used AS (
  SELECT scope,
         SUM(CASE WHEN events_allowed > 0 THEN 1 ELSE 0 END) AS apps,
         SUM(CASE WHEN events_allowed > 0 AND developer_id IS NULL THEN 1 ELSE 0 END) AS unknown,
         SUM(CASE WHEN events_lookback > 0 THEN 1 ELSE 0 END) AS apps_lately
  FROM exposure_cells
  WHERE grain IN ('scope_app', 'app') AND app_id IS NOT NULL
  GROUP BY scope
),
developers AS (
  SELECT scope,
         SUM(CASE WHEN events_allowed > 0 THEN 1 ELSE 0 END) AS developers,
         SUM(CASE WHEN events_lookback > 0 THEN 1 ELSE 0 END) AS developers_lately
  FROM exposure_cells
  WHERE grain IN ('scope_developer', 'developer')
  GROUP BY scope
),
capable_by AS (
  SELECT scope, COUNT(DISTINCT app_id) AS apps, COUNT(DISTINCT developer_id) AS developers
  FROM capable GROUP BY scope
  UNION ALL
  SELECT '(all)' AS scope, COUNT(DISTINCT app_id) AS apps, COUNT(DISTINCT developer_id) AS developers
  FROM capable
),
without_grant AS (
  SELECT e.scope, e.app_id, e.developer_id
  FROM exposure_cells AS e
  LEFT JOIN (SELECT scope, app_id, TRUE AS is_capable FROM capable) AS c
    ON e.scope = c.scope AND e.app_id = c.app_id
  WHERE e.grain = 'scope_app' AND e.events_allowed > 0
    AND e.app_id IS NOT NULL AND c.is_capable IS NULL
),
without_grant_by AS (
  SELECT scope, COUNT(DISTINCT app_id) AS apps, COUNT(DISTINCT developer_id) AS developers
  FROM without_grant GROUP BY scope
  UNION ALL
  SELECT '(all)' AS scope, COUNT(DISTINCT app_id) AS apps,
         COUNT(DISTINCT developer_id) AS developers
  FROM without_grant
),
figures AS (
  SELECT scope, requests_allowed, requests_denied, requests_unknown, requests_held_only,
         subjects_observed, subjects_upper_bound, upper_bound_complete, subjects_unknown_rows,
         actors, groups, records, bytes, first_access, last_access, active_days,
         requests_lookback, subjects_lookback, subjects_upper_bound_lookback,
         subjects_unknown_rows_lookback
  FROM exposure_cells
  WHERE grain IN ('scope', 'all')
)
SELECT w.grain, w.scope, w.status, w.restricted_at,
       CASE WHEN r.has_grants THEN COALESCE(c.apps, 0) END AS apps_capable,
       CASE WHEN r.has_grants THEN COALESCE(wg.apps, 0) END AS apps_used_without_grant,
       CASE WHEN r.has_grants THEN COALESCE(c.developers, 0) END AS developers_capable,
       COALESCE(u.apps, 0) AS apps_used_after_restriction,
       COALESCE(u.apps_lately, 0) AS apps_used_lookback,
       COALESCE(d.developers, 0) AS developers_used_after_restriction,
       COALESCE(d.developers_lately, 0) AS developers_used_lookback,
       CASE WHEN r.has_grants THEN COALESCE(wg.developers, 0) END AS developers_used_without_grant,
       COALESCE(u.unknown, 0) AS developers_unknown_apps,
       COALESCE(e.requests_allowed, 0) AS requests_allowed,
       COALESCE(e.requests_denied, 0) AS requests_denied,
       COALESCE(e.requests_unknown, 0) AS requests_unknown,
       COALESCE(e.requests_held_only, 0) AS requests_held_only,
       COALESCE(e.subjects_observed, 0) AS subjects_observed,
       CASE WHEN r.has_memberships THEN COALESCE(e.subjects_upper_bound, 0) END
         AS subjects_upper_bound,
       CASE WHEN r.has_memberships THEN COALESCE(e.upper_bound_complete, TRUE) END
         AS upper_bound_complete,
       COALESCE(e.subjects_unknown_rows, 0) AS subjects_unknown_rows,
       COALESCE(e.actors, 0) AS actors,
       COALESCE(e.groups, 0) AS groups,
       e.records,
       e.bytes,
       e.first_access,
       e.last_access,
       COALESCE(e.active_days, 0) AS active_days,
       COALESCE(e.requests_lookback, 0) AS requests_lookback,
       COALESCE(e.subjects_lookback, 0) AS subjects_lookback,
       CASE WHEN r.has_memberships THEN COALESCE(e.subjects_upper_bound_lookback, 0) END
         AS subjects_upper_bound_lookback,
       COALESCE(e.subjects_unknown_rows_lookback, 0) AS subjects_unknown_rows_lookback,
       r.coverage_pct,
       r.verdict
FROM wanted AS w
CROSS JOIN (SELECT coverage_pct, verdict, has_grants, has_memberships FROM run) AS r
LEFT JOIN figures AS e ON w.scope = e.scope
LEFT JOIN used AS u ON w.scope = u.scope
LEFT JOIN developers AS d ON w.scope = d.scope
LEFT JOIN capable_by AS c ON w.scope = c.scope
LEFT JOIN without_grant_by AS wg ON w.scope = wg.scope
