-- deletion_verification: what came after each promise (docs/counting.md, rule 16).
WITH promises AS (
    SELECT
        row_number() OVER () AS promise, t.*,
        -- A promise that is given later was not given yet.
        t.attested_at IS NOT NULL AND t.attested_at < p.as_of AS given
    FROM attestations t
    CROSS JOIN params p
),
-- Each event once, however many of its scopes the promise covers.
events AS (
    SELECT
        t.promise, h.row_no, any_value(h.outcome) AS outcome, bool_or(h.exercised) AS exercised,
        any_value(h.weight) AS weight, any_value(h.person) AS person,
        any_value(h.group_key) AS group_key, any_value(h.time) AS time
    FROM promises t
    JOIN hits h ON h.app = t.app_id AND (t.scope IS NULL OR t.scope = h.scope)
               AND h.time >= t.attested_at
    WHERE t.given
    GROUP BY t.promise, h.row_no
),
figures AS (
    SELECT
        promise,
        count(*) FILTER (outcome = 'allowed' AND exercised) AS accesses,
        sum(weight) FILTER (outcome = 'allowed' AND exercised) AS requests,
        sum(weight) FILTER (outcome = 'denied') AS denied,
        sum(weight) FILTER (outcome = 'unknown') AS unknown,
        count(*) FILTER (outcome <> 'denied' AND NOT (outcome = 'allowed' AND exercised)) AS unsettled,
        count(DISTINCT person) FILTER (outcome = 'allowed' AND exercised) AS people,
        count(DISTINCT group_key) FILTER (outcome = 'allowed' AND exercised) AS groups,
        min(time) FILTER (outcome = 'allowed' AND exercised) AS first_time,
        max(time) FILTER (outcome = 'allowed' AND exercised) AS last_time
    FROM events
    GROUP BY promise
),
-- docs/counting.md, rules 5 and 6.
accesses AS (SELECT * FROM events WHERE outcome = 'allowed' AND exercised),
members AS (
    SELECT e.promise, e.row_no, row(p.people_space, m.subject) AS person
    FROM accesses e
    CROSS JOIN params p
    JOIN memberships m
        ON e.group_key = row(p.members_space, m.group_id)
        AND (m.begins IS NULL OR m.begins <= e.time)
        AND (m.ends IS NULL OR e.time < m.ends)
),
upper AS (
    SELECT promise, count(DISTINCT person) AS people
    FROM (
        SELECT promise, person FROM accesses WHERE person IS NOT NULL
        UNION ALL
        SELECT promise, person FROM members
    )
    GROUP BY ALL
),
nameless AS (
    SELECT promise, count(*) AS events
    FROM accesses e
    WHERE person IS NULL AND NOT EXISTS (
        SELECT 1 FROM members m WHERE m.promise = e.promise AND m.row_no = e.row_no
    )
    GROUP BY ALL
),
again AS (
    SELECT t.promise, count(*) AS grants
    FROM promises t
    CROSS JOIN params p
    JOIN grants g ON g.app_id = t.app_id AND (t.scope IS NULL OR t.scope = g.scope)
    JOIN scopes s ON s.scope = g.scope
    WHERE t.given AND g.granted_at >= t.attested_at AND g.granted_at < p.as_of
    GROUP BY t.promise
),
days AS (
    SELECT t.promise, 100.0 * count(*) FILTER (d.covered) / nullif(count(*), 0) AS coverage_pct
    FROM promises t
    JOIN periods d ON d.day >= utc_day(t.attested_at)
    WHERE t.given
    GROUP BY t.promise
),
-- Whether something can have been missed: a day that a source does not declare, a row that could not
-- be read, or a call that names no app.
gaps AS (
    SELECT
        t.promise,
        EXISTS (
            SELECT 1 FROM sources s
            WHERE s.expected_from IS NULL
               OR s.expected_from > utc_day(t.attested_at)
               OR least(coalesce(utc_day(s.expected_until), utc_day(p.as_of)),
                        utc_day(p.as_of - s.expected_grace)) < utc_day(p.as_of - s.expected_grace)
               OR utc_day(t.attested_at) >= utc_day(p.as_of - s.expected_grace)
        )
        OR EXISTS (SELECT 1 FROM terms WHERE term = 'rejected')
        OR EXISTS (
            SELECT 1 FROM measures m
            WHERE m.grain = 'app' AND m.app IS NULL
              AND m.last_time >= t.attested_at
        )
        OR EXISTS (
            SELECT 1 FROM grain_events e
            WHERE e.grain = 'app' AND e.app IS NULL AND e.outcome <> 'denied'
              AND NOT (e.outcome = 'allowed' AND e.exercised)
        )
        -- A promise about nothing that is counted, or by nobody that is known, may be misspelt.
        OR NOT EXISTS (
            SELECT 1 FROM scopes s
            WHERE (t.scope IS NULL OR s.scope = t.scope) AND s.restricted_at < p.as_of
        )
        OR NOT (
            EXISTS (SELECT 1 FROM apps a WHERE a.app_id = t.app_id)
            OR EXISTS (SELECT 1 FROM grants g WHERE g.app_id = t.app_id)
            OR EXISTS (SELECT 1 FROM hits h WHERE h.app = t.app_id)
        ) AS some
    FROM promises t
    CROSS JOIN params p
    WHERE t.given
)
SELECT
    'attestation' AS grain,
    shown(t.app_id) AS app_id,
    a.app_name,
    shown(a.developer_id) AS developer_id,
    a.developer_name,
    coalesce(shown(t.scope), '(all)') AS scope,
    utc_moment(t.asked_at) AS asked_at,
    utc_moment(t.attested_at) AS attested_at,
    t.statement,
    CASE WHEN t.given THEN coalesce(f.requests, 0) END AS requests_after,
    CASE WHEN t.given THEN coalesce(f.denied, 0) END AS requests_denied_after,
    CASE WHEN t.given THEN coalesce(f.unknown, 0) END AS requests_unknown_after,
    CASE WHEN t.given THEN coalesce(f.people, 0) END AS subjects_after,
    CASE WHEN t.given AND p.has_memberships THEN coalesce(u.people, 0) END
        AS subjects_upper_bound_after,
    CASE WHEN t.given THEN coalesce(n.events, 0) END AS subjects_unknown_rows_after,
    CASE WHEN t.given THEN coalesce(f.groups, 0) END AS groups_after,
    utc_moment(f.first_time) AS first_after,
    utc_moment(f.last_time) AS last_after,
    CASE WHEN t.given AND p.has_grants THEN coalesce(g.grants, 0) END AS regrants,
    -- Of a report that follows no other.
    NULL AS rows_late,
    CASE WHEN t.given THEN d.coverage_pct END AS coverage_pct_after,
    CASE
        WHEN NOT t.given THEN 'not_attested'
        WHEN f.accesses > 0 THEN 'violated'
        WHEN NOT x.some AND coalesce(f.unsettled, 0) = 0 AND d.coverage_pct = 100 THEN 'clean'
        ELSE 'inconclusive'
    END AS verdict
FROM promises t
CROSS JOIN params p
LEFT JOIN apps a ON a.app_id = t.app_id
LEFT JOIN figures f USING (promise)
LEFT JOIN upper u USING (promise)
LEFT JOIN nameless n USING (promise)
LEFT JOIN again g USING (promise)
LEFT JOIN days d USING (promise)
LEFT JOIN gaps x USING (promise)
ORDER BY grain NULLS FIRST, app_id NULLS FIRST, scope NULLS FIRST, t.attested_at NULLS FIRST;
