-- data_categories: every scope of the registry with each category that it gives access to
-- (docs/counting.md, rules 2 and 5).
WITH listed AS (
    SELECT DISTINCT scope, special_fields, unnest(data_fields) AS data_category FROM scopes
),
returned AS (
    SELECT e.scope, string_agg(DISTINCT shown(f.field), ';' ORDER BY shown(f.field)) AS fields
    FROM exposed e
    JOIN (SELECT row_no, unnest(fields) AS field FROM raw_rows) f USING (row_no)
    WHERE e.grain = 'scope'
    GROUP BY e.scope
)
SELECT
    'scope_category' AS grain,
    shown(l.scope) AS scope,
    shown(l.data_category) AS data_category,
    CASE
        WHEN (SELECT bool_or(maps_fields) FROM sources) THEN coalesce(r.fields, '')
    END AS fields_returned,
    list_contains(l.special_fields, l.data_category) AS special_category,
    coalesce(m.subjects_observed, 0) AS subjects_observed,
    CASE WHEN p.has_memberships THEN coalesce(m.subjects_upper_bound, 0) END
        AS subjects_upper_bound,
    CASE WHEN p.has_memberships THEN coalesce(m.upper_bound_complete, true) END
        AS upper_bound_complete,
    coalesce(m.subjects_unknown_rows, 0) AS subjects_unknown_rows,
    m.records,
    d.coverage_pct,
    'complete' AS verdict
FROM listed l
CROSS JOIN params p
CROSS JOIN declared d
LEFT JOIN returned r ON r.scope = l.scope
LEFT JOIN measures m ON m.grain = 'scope' AND m.scope = l.scope
ORDER BY grain NULLS FIRST, scope NULLS FIRST, data_category NULLS FIRST;
