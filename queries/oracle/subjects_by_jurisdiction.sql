-- subjects_by_jurisdiction: reached people by where they live, by scope, app and their totals
-- (docs/counting.md, rules 2, 6 and 10).
SELECT
    r.grain,
    CASE WHEN r.grain IN ('scope_app', 'scope') THEN shown(r.scope) ELSE '(all)' END AS scope,
    CASE WHEN r.grain IN ('scope_app', 'app') THEN shown(r.app) ELSE '(all)' END AS app_id,
    a.app_name,
    r.is_known,
    shown(r.country) AS country,
    shown(r.subdivision) AS subdivision,
    shown(r.category) AS category,
    count(*) FILTER (r.observed) AS subjects_observed,
    CASE WHEN p.has_memberships THEN count(*) END AS subjects_upper_bound,
    utc_moment(min(r.known_at)) AS residency_from,
    utc_moment(max(r.known_at)) AS residency_to
FROM placed r
CROSS JOIN params p
LEFT JOIN apps a ON a.app_id = r.app
WHERE p.has_residency
GROUP BY r.grain, r.scope, r.app, a.app_name, r.is_known, r.country, r.subdivision, r.category,
         p.has_memberships
ORDER BY grain NULLS FIRST, scope NULLS FIRST, app_id NULLS FIRST, is_known,
         country NULLS FIRST, subdivision NULLS FIRST, category NULLS FIRST;
