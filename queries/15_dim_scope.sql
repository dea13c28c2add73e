-- What every scope in a table is: one row for each restricted scope, for each other scope that a promise of deletion names, and one for all. Join it by scope.
-- key: scope
-- column: grain | string |  | scope or all.
-- column: scope | string |  | Scope, or (all).
-- column: status | string |  | restricted; not_yet_restricted (at or after as_of); not_listed: the registry does not restrict it; null for (all).
-- column: restricted_at | timestamp[us, UTC] | UTC | When the scope was restricted; null for (all) and where it is not listed.
-- column: restricted_on | date | UTC day | The day of it.
-- column: data_categories | int64 | categories | Data categories that the scope gives access to; null for (all).

WITH categories AS (
  SELECT scope, COUNT(*) AS data_categories FROM scope_fields GROUP BY scope
),
promised AS (
  SELECT a.scope
  FROM (SELECT DISTINCT scope FROM attestations WHERE scope <> '(all)') AS a
  LEFT JOIN scopes AS s ON a.scope = s.scope
  WHERE s.status IS NULL
)
SELECT 'scope' AS grain, s.scope, s.status, s.restricted_at, CAST(s.restricted_at AS DATE) AS restricted_on,
       COALESCE(c.data_categories, 0) AS data_categories
FROM scopes AS s
LEFT JOIN categories AS c ON s.scope = c.scope
UNION ALL
SELECT 'scope' AS grain, scope, 'not_listed' AS status, CAST(NULL AS TIMESTAMP) AS restricted_at,
       CAST(NULL AS DATE) AS restricted_on, 0 AS data_categories
FROM promised
UNION ALL
SELECT 'all' AS grain, '(all)' AS scope, CAST(NULL AS VARCHAR) AS status, CAST(NULL AS TIMESTAMP) AS restricted_at,
       CAST(NULL AS DATE) AS restricted_on, CAST(NULL AS BIGINT) AS data_categories
FROM run
