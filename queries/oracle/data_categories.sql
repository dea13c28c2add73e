-- data_categories: every scope of the registry with each category that it gives access to
-- (docs/counting.md, rules 2 and 5).
WITH listed AS (
    SELECT DISTINCT scope, unnest(data_fields) AS data_category FROM scopes
)
SELECT
    'scope_category' AS grain,
    shown(l.scope) AS scope,
    shown(l.data_category) AS data_category,
    coalesce(m.subjects_observed, 0) AS subjects_observed,
    m.records,
    d.coverage_pct,
    'complete' AS verdict
FROM listed l
CROSS JOIN declared d
LEFT JOIN measures m ON m.grain = 'scope' AND m.scope = l.scope
ORDER BY grain NULLS FIRST, scope NULLS FIRST, data_category NULLS FIRST;
