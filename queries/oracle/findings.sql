-- findings: uses that should not have been (docs/counting.md, rules 1, 2, 3 and 9).
WITH kinds AS (
    SELECT *, unnest([
        {'finding': 'after_attestation', 'holds': after_attestation},
        {'finding': 'after_revocation', 'holds': after_revocation},
        {'finding': 'in_brownout', 'holds': in_brownout},
        {'finding': 'after_grace', 'holds': after_grace},
        {'finding': 'without_grant', 'holds': EXISTS (
            SELECT 1 FROM without_grant w WHERE w.scope = hits.scope AND w.app = hits.app
        )}
    ], recursive := true)
    FROM hits
    WHERE exercised AND outcome = 'allowed'
),
held AS (SELECT * FROM kinds WHERE holds),
-- docs/counting.md, rules 5 and 6.
members AS (
    SELECT k.finding, k.scope, k.app, k.row_no, row(p.people_space, m.subject) AS person
    FROM held k
    CROSS JOIN params p
    JOIN memberships m
        ON k.group_key = row(p.members_space, m.group_id)
        AND (m.begins IS NULL OR m.begins <= k.time)
        AND (m.ends IS NULL OR k.time < m.ends)
),
upper AS (
    SELECT finding, scope, app, count(DISTINCT person) AS people
    FROM (
        SELECT finding, scope, app, person FROM held WHERE person IS NOT NULL
        UNION ALL
        SELECT finding, scope, app, person FROM members
    )
    GROUP BY ALL
),
nameless AS (
    SELECT finding, scope, app, count(*) AS events
    FROM held k
    WHERE person IS NULL AND NOT EXISTS (
        SELECT 1 FROM members m
        WHERE m.finding = k.finding AND m.row_no = k.row_no AND m.scope = k.scope
    )
    GROUP BY ALL
)
SELECT
    'scope_app' AS grain,
    k.finding,
    shown(k.scope) AS scope,
    shown(k.app) AS app_id,
    any_value(a.app_name) AS app_name,
    shown(any_value(a.developer_id)) AS developer_id,
    any_value(a.developer_name) AS developer_name,
    sum(k.weight) AS requests_allowed,
    count(DISTINCT k.person) AS subjects_observed,
    CASE WHEN any_value(p.has_memberships) THEN coalesce(any_value(u.people), 0) END
        AS subjects_upper_bound,
    coalesce(any_value(n.events), 0) AS subjects_unknown_rows,
    count(DISTINCT k.group_key) AS groups,
    utc_moment(min(k.time)) AS first_access,
    utc_moment(max(k.time)) AS last_access
FROM held k
CROSS JOIN params p
LEFT JOIN apps a ON a.app_id = k.app
LEFT JOIN upper u
    ON u.finding = k.finding AND u.scope = k.scope AND u.app IS NOT DISTINCT FROM k.app
LEFT JOIN nameless n
    ON n.finding = k.finding AND n.scope = k.scope AND n.app IS NOT DISTINCT FROM k.app
GROUP BY k.finding, k.scope, k.app
ORDER BY grain NULLS FIRST, finding NULLS FIRST, scope NULLS FIRST, app_id NULLS FIRST;
