-- scope_summary: every scope of the registry, used or not, and all (docs/counting.md, rules 2, 5,
-- 8, 10 and 13).
WITH listed AS (
    SELECT 'scope' AS grain, scope, restricted_at FROM scopes
    UNION ALL
    SELECT 'all', NULL, NULL
),
-- The set without a scope is over all of them.
capable_by AS (
    SELECT scope, count(DISTINCT app_id) AS apps, count(DISTINCT developer_id) AS developers
    FROM capable
    GROUP BY GROUPING SETS ((scope), ())
),
without_by AS (
    SELECT w.scope, count(DISTINCT w.app) AS apps, count(DISTINCT a.developer_id) AS developers
    FROM without_grant w
    LEFT JOIN apps a ON a.app_id = w.app
    GROUP BY GROUPING SETS ((w.scope), ())
)
SELECT
    l.grain,
    CASE WHEN l.grain = 'all' THEN '(all)' ELSE shown(l.scope) END AS scope,
    CASE
        WHEN l.grain = 'all' THEN NULL
        WHEN l.restricted_at >= p.as_of THEN 'not_yet_restricted'
        ELSE 'restricted'
    END AS status,
    utc_moment(l.restricted_at) AS restricted_at,
    CASE WHEN p.has_grants THEN coalesce(c.apps, 0) END AS apps_capable,
    CASE WHEN p.has_grants THEN coalesce(c.developers, 0) END AS developers_capable,
    CASE WHEN p.has_grants THEN coalesce(w.apps, 0) END AS apps_used_without_grant,
    coalesce(m.apps_used, 0) AS apps_used_after_restriction,
    coalesce(m.apps_lookback, 0) AS apps_used_lookback,
    coalesce(m.developers_used, 0) AS developers_used_after_restriction,
    coalesce(m.developers_lookback, 0) AS developers_used_lookback,
    CASE WHEN p.has_grants THEN coalesce(w.developers, 0) END AS developers_used_without_grant,
    coalesce(m.apps_without_developer, 0) AS developers_unknown_apps,
    coalesce(m.requests_allowed, 0) AS requests_allowed,
    coalesce(m.requests_denied, 0) AS requests_denied,
    coalesce(m.requests_unknown, 0) AS requests_unknown,
    coalesce(m.requests_held_only, 0) AS requests_held_only,
    coalesce(m.subjects_observed, 0) AS subjects_observed,
    CASE WHEN p.has_memberships THEN coalesce(m.subjects_upper_bound, 0) END
        AS subjects_upper_bound,
    CASE WHEN p.has_memberships THEN coalesce(m.upper_bound_complete, true) END
        AS upper_bound_complete,
    coalesce(m.subjects_unknown_rows, 0) AS subjects_unknown_rows,
    coalesce(m.actors, 0) AS actors,
    coalesce(m.groups, 0) AS groups,
    m.records,
    m.bytes,
    utc_moment(m.first_time) AS first_access,
    utc_moment(m.last_time) AS last_access,
    coalesce(m.active_days, 0) AS active_days,
    coalesce(m.requests_lookback, 0) AS requests_lookback,
    coalesce(m.subjects_lookback, 0) AS subjects_lookback,
    CASE WHEN p.has_memberships THEN coalesce(m.subjects_upper_bound_lookback, 0) END
        AS subjects_upper_bound_lookback,
    coalesce(m.subjects_unknown_rows_lookback, 0) AS subjects_unknown_rows_lookback,
    d.coverage_pct,
    'complete' AS verdict
FROM listed l
CROSS JOIN params p
CROSS JOIN declared d
LEFT JOIN capable_by c ON c.scope IS NOT DISTINCT FROM l.scope
LEFT JOIN without_by w ON w.scope IS NOT DISTINCT FROM l.scope
LEFT JOIN measures m ON m.grain = l.grain AND m.scope IS NOT DISTINCT FROM l.scope
ORDER BY grain NULLS FIRST, scope NULLS FIRST;
