-- dim_scope: what every scope in a table is.
WITH promised AS (
    SELECT DISTINCT scope FROM attestations
    WHERE scope IS NOT NULL AND scope NOT IN (SELECT scope FROM scopes)
)
SELECT
    'scope' AS grain,
    shown(s.scope) AS scope,
    CASE WHEN s.restricted_at >= p.as_of THEN 'not_yet_restricted' ELSE 'restricted' END AS status,
    utc_moment(s.restricted_at) AS restricted_at,
    utc_day(s.restricted_at) AS restricted_on,
    len(list_distinct(coalesce(s.data_fields, []))) AS data_categories
FROM scopes s CROSS JOIN params p
UNION ALL
SELECT 'scope', shown(scope), 'not_listed', NULL, NULL, 0 FROM promised
UNION ALL
SELECT 'all', '(all)', NULL, NULL, NULL, NULL
ORDER BY scope;
