-- daily_timeline: UTC days with an allowed, exercised event; a person is new on the first day on
-- which the same scope and app, or their total, saw them (docs/counting.md, rules 1, 5 and 10).
WITH days AS (
    SELECT
        grain, scope, app, utc_day(time) AS day,
        sum(weight) AS requests_allowed,
        count(DISTINCT person) AS subjects_observed
    FROM exposed
    WHERE grain IN ('scope_app', 'app', 'scope', 'all')
    GROUP BY ALL
),
first_seen AS (
    SELECT grain, scope, app, person, min(utc_day(time)) AS day
    FROM exposed
    WHERE person IS NOT NULL
    GROUP BY ALL
),
counted AS (
    SELECT
        d.*,
        (
            SELECT count(*) FROM first_seen f
            WHERE f.grain = d.grain
              AND f.scope IS NOT DISTINCT FROM d.scope
              AND f.app IS NOT DISTINCT FROM d.app
              AND f.day = d.day
        ) AS subjects_new
    FROM days d
)
SELECT
    c.grain,
    CASE WHEN c.grain IN ('scope_app', 'scope') THEN shown(c.scope) ELSE '(all)' END AS scope,
    CASE WHEN c.grain IN ('scope_app', 'app') THEN shown(c.app) ELSE '(all)' END AS app_id,
    a.app_name,
    c.day,
    c.requests_allowed,
    c.subjects_observed,
    c.subjects_new,
    sum(c.subjects_new) OVER (
        PARTITION BY c.grain, c.scope, c.app ORDER BY c.day
    ) AS subjects_cumulative
FROM counted c
LEFT JOIN apps a ON a.app_id = c.app
ORDER BY c.grain NULLS FIRST, scope NULLS FIRST, app_id NULLS FIRST, c.day NULLS FIRST;
