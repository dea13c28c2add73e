-- deadlines: when the time limits of regimes end (docs/counting.md, rule 17).
WITH known AS (
    SELECT i.clock, i.at, i.local_date FROM incident i CROSS JOIN params p WHERE i.at <= p.as_of
),
started AS (
    SELECT r.*, k.at AS started, k.local_date
    FROM rules r
    LEFT JOIN known k USING (clock)
    WHERE r.clock IS NOT NULL AND r.limit_units IS NOT NULL
),
-- The first day after the start up to which as many of Monday to Friday have passed as the limit says.
business AS (
    SELECT regime, jurisdiction, min(n) AS days
    FROM (
        SELECT s.regime, s.jurisdiction, s.limit_units, d.n,
               count(*) FILTER (isodow(s.local_date + d.n::INTEGER) < 6) OVER (
                   PARTITION BY s.regime, s.jurisdiction ORDER BY d.n
               ) AS passed
        FROM started s
        CROSS JOIN (SELECT unnest(range(1, 400)) AS n) d
    )
    WHERE passed = limit_units
    GROUP BY ALL
),
ends AS (
    SELECT
        s.*,
        s.started + CASE s.unit
            WHEN 'hours' THEN s.limit_units * 3600000000000
            WHEN 'calendar_days' THEN s.limit_units * 86400000000000
            WHEN 'business_days' THEN
                CASE WHEN s.limit_units = 0 THEN 0 ELSE b.days END * 86400000000000
        END AS due
    FROM started s
    LEFT JOIN business b USING (regime, jurisdiction)
)
SELECT
    'regime' AS grain, shown(e.regime) AS regime, e.jurisdiction, e.clock AS starting_event,
    utc_moment(e.started) AS started_at, e.limit_units AS time_limit, e.unit,
    utc_moment(e.due) AS due_at,
    CASE
        WHEN e.started IS NULL THEN 'not_started'
        WHEN told.at <= e.due THEN 'kept'
        WHEN told.at IS NOT NULL THEN 'missed'
        WHEN p.as_of <= e.due THEN 'running'
        ELSE 'passed'
    END AS state,
    e.source
FROM ends e
CROSS JOIN params p
LEFT JOIN known told ON told.clock = 'reported ' || e.regime
ORDER BY regime, jurisdiction;
