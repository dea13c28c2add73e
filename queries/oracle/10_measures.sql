-- The measures of every grain: reads what 00_events.sql made.

-- docs/counting.md, rule 2: coarser grains take the union, so an event stands once at each grain
-- and is in a window there when one of its scopes that were exercised is.
CREATE OR REPLACE TEMP TABLE grain_events AS
SELECT
    g.grain,
    CASE WHEN g.by_scope THEN h.scope END AS scope,
    CASE WHEN g.by_app THEN h.app END AS app,
    CASE WHEN g.by_developer THEN h.developer_id END AS developer,
    h.row_no,
    -- These are the event's own, the same for each of its scopes.
    any_value(h.time) AS time,
    any_value(h.outcome) AS outcome,
    any_value(h.app) AS event_app,
    any_value(h.developer_id) AS event_developer,
    any_value(h.person) AS person,
    any_value(h.actor) AS actor,
    any_value(h.group_key) AS group_key,
    any_value(h.weight) AS weight,
    any_value(h.bytes) AS bytes,
    any_value(h.records) AS records,
    bool_or(h.exercised) AS exercised,
    bool_or(h.exercised AND h.in_grace) AS in_grace,
    bool_or(h.exercised AND h.after_grace) AS after_grace,
    bool_or(h.exercised AND h.in_lookback) AS in_lookback,
    bool_or(h.exercised AND h.in_brownout) AS in_brownout,
    bool_or(h.exercised AND h.after_revocation) AS after_revocation,
    bool_or(h.exercised AND h.after_attestation) AS after_attestation
FROM hits h
CROSS JOIN (
    VALUES
        ('scope_app', true, true, false),
        ('scope_developer', true, false, true),
        ('scope', true, false, false),
        ('app', false, true, false),
        ('developer', false, false, true),
        ('all', false, false, false)
) g(grain, by_scope, by_app, by_developer)
-- docs/counting.md, rule 8: apps without a known developer are in no developer's figures.
WHERE NOT g.by_developer OR h.developer_id IS NOT NULL
GROUP BY ALL;

-- docs/counting.md, rule 3: exposure is over allowed, exercised events only.
CREATE OR REPLACE TEMP TABLE exposed AS
SELECT * FROM grain_events WHERE outcome = 'allowed' AND exercised;

-- docs/counting.md, rule 6: everybody who was a member of a group at a moment at which it was read.
CREATE OR REPLACE TEMP TABLE member_reads AS
SELECT
    e.grain, e.scope, e.app, e.developer, e.row_no, e.group_key,
    e.in_grace, e.after_grace, e.in_brownout, e.after_revocation, e.after_attestation, e.in_lookback,
    row(p.people_space, m.subject) AS person
FROM exposed e
CROSS JOIN params p
JOIN memberships m
    ON e.group_key = row(p.members_space, m.group_id)
    AND (m.begins IS NULL OR m.begins <= e.time)
    AND (m.ends IS NULL OR e.time < m.ends);

CREATE OR REPLACE TEMP TABLE reached AS
SELECT
    grain, scope, app, developer, person, bool_or(observed) AS observed,
    bool_or(in_grace) AS in_grace, bool_or(after_grace) AS after_grace,
    bool_or(in_brownout) AS in_brownout, bool_or(after_revocation) AS after_revocation,
    bool_or(after_attestation) AS after_attestation, bool_or(in_lookback) AS in_lookback
FROM (
    SELECT
        grain, scope, app, developer, person, true AS observed, in_grace, after_grace,
        in_brownout, after_revocation, after_attestation, in_lookback
    FROM exposed
    WHERE person IS NOT NULL
    UNION ALL
    SELECT
        grain, scope, app, developer, person, false, in_grace, after_grace,
        in_brownout, after_revocation, after_attestation, in_lookback
    FROM member_reads
)
GROUP BY ALL;

-- docs/counting.md, rule 5: events that name nobody, and no group that had a member then.
CREATE OR REPLACE TEMP TABLE nameless AS
SELECT
    e.grain, e.scope, e.app, e.developer, count(*) AS events,
    count(*) FILTER (in_grace) AS in_grace,
    count(*) FILTER (after_grace) AS after_grace,
    count(*) FILTER (in_brownout) AS in_brownout,
    count(*) FILTER (after_revocation) AS after_revocation,
    count(*) FILTER (after_attestation) AS after_attestation,
    count(*) FILTER (in_lookback) AS in_lookback
FROM exposed e
WHERE e.person IS NULL AND NOT EXISTS (
    SELECT 1 FROM member_reads r
    WHERE r.grain = e.grain AND r.row_no = e.row_no
      AND r.scope IS NOT DISTINCT FROM e.scope
)
GROUP BY ALL;

-- docs/counting.md, rule 6: of a person's residences the one that was known last by as_of; where two
-- differ there, neither.
CREATE OR REPLACE TEMP TABLE residences AS
WITH known AS (
    SELECT r.*
    FROM residency r
    CROSS JOIN params p
    WHERE r.known_at IS NULL OR r.known_at <= p.as_of
    QUALIFY r.known_at IS NOT DISTINCT FROM max(r.known_at) OVER (PARTITION BY r.subject)
)
SELECT
    row(p.people_space, k.subject) AS person,
    any_value(k.country) AS country,
    any_value(k.subdivision) AS subdivision,
    any_value(k.category) AS category,
    max(k.known_at) AS known_at
FROM known k
CROSS JOIN params p
GROUP BY p.people_space, k.subject
HAVING count(DISTINCT row(k.country, k.subdivision, k.category)) = 1;

CREATE OR REPLACE TEMP TABLE placed AS
SELECT r.*, h.person IS NOT NULL AS is_known, h.country, h.subdivision, h.category, h.known_at
FROM reached r
-- A row that names no country says that nobody knows.
LEFT JOIN residences h ON h.person = r.person AND h.country IS NOT NULL
WHERE r.grain IN ('scope_app', 'scope', 'app', 'all');

-- docs/counting.md, rules 3, 5 and 8.
CREATE OR REPLACE TEMP TABLE measures AS
WITH outcomes AS (
    SELECT
        grain, scope, app, developer,
        coalesce(sum(weight) FILTER (outcome = 'denied'), 0) AS requests_denied,
        coalesce(sum(weight) FILTER (outcome = 'unknown'), 0) AS requests_unknown,
        coalesce(sum(weight) FILTER (outcome = 'allowed' AND NOT exercised), 0)
            AS requests_held_only,
        count(*) FILTER (outcome = 'unknown' OR (outcome = 'allowed' AND NOT exercised))
            AS events_unsettled
    FROM grain_events
    GROUP BY ALL
),
exposure AS (
    SELECT
        grain, scope, app, developer,
        sum(weight) AS requests_allowed,
        count(DISTINCT person) AS subjects_observed,
        count(DISTINCT actor) AS actors,
        count(DISTINCT group_key) AS groups,
        sum(records) AS records,
        sum(bytes) AS bytes,
        min(time) AS first_time,
        max(time) AS last_time,
        count(DISTINCT utc_day(time)) AS active_days,
        count(DISTINCT event_app) AS apps_used,
        count(DISTINCT event_app) FILTER (in_lookback) AS apps_lookback,
        count(DISTINCT event_developer) AS developers_used,
        count(DISTINCT event_developer) FILTER (in_lookback) AS developers_lookback,
        count(DISTINCT event_app) FILTER (event_developer IS NULL) AS apps_without_developer,
        sum(weight) FILTER (in_grace) AS requests_in_grace,
        count(DISTINCT person) FILTER (in_grace) AS subjects_in_grace,
        sum(weight) FILTER (after_grace) AS requests_after_grace,
        count(DISTINCT person) FILTER (after_grace) AS subjects_after_grace,
        sum(weight) FILTER (in_brownout) AS requests_in_brownout,
        count(DISTINCT person) FILTER (in_brownout) AS subjects_in_brownout,
        sum(weight) FILTER (after_revocation) AS requests_after_revocation,
        count(DISTINCT person) FILTER (after_revocation) AS subjects_after_revocation,
        sum(weight) FILTER (after_attestation) AS requests_after_attestation,
        count(DISTINCT person) FILTER (after_attestation) AS subjects_after_attestation,
        sum(weight) FILTER (in_lookback) AS requests_lookback,
        count(DISTINCT person) FILTER (in_lookback) AS subjects_lookback,
        count(DISTINCT group_key) FILTER (in_lookback) AS groups_lookback
    FROM exposed
    GROUP BY ALL
)
SELECT
    o.*,
    coalesce(e.requests_allowed, 0) AS requests_allowed,
    coalesce(e.subjects_observed, 0) AS subjects_observed,
    coalesce(n.events, 0) AS subjects_unknown_rows,
    CASE WHEN p.has_memberships THEN coalesce(u.people, 0) END AS subjects_upper_bound,
    CASE WHEN p.has_memberships THEN coalesce(n.events, 0) = 0 END AS upper_bound_complete,
    coalesce(e.actors, 0) AS actors,
    coalesce(e.groups, 0) AS groups,
    e.records, e.bytes, e.first_time, e.last_time,
    coalesce(e.active_days, 0) AS active_days,
    coalesce(e.apps_used, 0) AS apps_used,
    coalesce(e.apps_lookback, 0) AS apps_lookback,
    coalesce(e.developers_used, 0) AS developers_used,
    coalesce(e.developers_lookback, 0) AS developers_lookback,
    coalesce(e.apps_without_developer, 0) AS apps_without_developer,
    coalesce(e.requests_in_grace, 0) AS requests_in_grace,
    coalesce(e.subjects_in_grace, 0) AS subjects_in_grace,
    coalesce(e.requests_after_grace, 0) AS requests_after_grace,
    coalesce(e.subjects_after_grace, 0) AS subjects_after_grace,
    CASE WHEN p.has_brownouts THEN coalesce(e.requests_in_brownout, 0) END AS requests_in_brownout,
    CASE WHEN p.has_brownouts THEN coalesce(e.subjects_in_brownout, 0) END AS subjects_in_brownout,
    CASE WHEN p.has_grants THEN coalesce(e.requests_after_revocation, 0) END AS requests_after_revocation,
    CASE WHEN p.has_grants THEN coalesce(e.subjects_after_revocation, 0) END AS subjects_after_revocation,
    CASE WHEN p.has_attestations THEN coalesce(e.requests_after_attestation, 0) END AS requests_after_attestation,
    CASE WHEN p.has_attestations THEN coalesce(e.subjects_after_attestation, 0) END AS subjects_after_attestation,
    coalesce(e.requests_lookback, 0) AS requests_lookback,
    coalesce(e.subjects_lookback, 0) AS subjects_lookback,
    CASE WHEN p.has_memberships THEN coalesce(u.in_grace, 0) END
        AS subjects_upper_bound_in_grace,
    coalesce(n.in_grace, 0) AS subjects_unknown_rows_in_grace,
    CASE WHEN p.has_memberships THEN coalesce(u.after_grace, 0) END
        AS subjects_upper_bound_after_grace,
    coalesce(n.after_grace, 0) AS subjects_unknown_rows_after_grace,
    CASE WHEN p.has_memberships AND p.has_brownouts THEN coalesce(u.in_brownout, 0) END
        AS subjects_upper_bound_in_brownout,
    CASE WHEN p.has_brownouts THEN coalesce(n.in_brownout, 0) END AS subjects_unknown_rows_in_brownout,
    CASE WHEN p.has_memberships AND p.has_grants THEN coalesce(u.after_revocation, 0) END
        AS subjects_upper_bound_after_revocation,
    CASE WHEN p.has_grants THEN coalesce(n.after_revocation, 0) END AS subjects_unknown_rows_after_revocation,
    CASE WHEN p.has_memberships AND p.has_attestations THEN coalesce(u.after_attestation, 0) END
        AS subjects_upper_bound_after_attestation,
    CASE WHEN p.has_attestations THEN coalesce(n.after_attestation, 0) END AS subjects_unknown_rows_after_attestation,
    CASE WHEN p.has_memberships THEN coalesce(u.in_lookback, 0) END
        AS subjects_upper_bound_lookback,
    coalesce(n.in_lookback, 0) AS subjects_unknown_rows_lookback,
    coalesce(e.groups_lookback, 0) AS groups_lookback
FROM outcomes o
CROSS JOIN params p
LEFT JOIN exposure e
    ON e.grain = o.grain
    AND e.scope IS NOT DISTINCT FROM o.scope
    AND e.app IS NOT DISTINCT FROM o.app
    AND e.developer IS NOT DISTINCT FROM o.developer
LEFT JOIN nameless n
    ON n.grain = o.grain
    AND n.scope IS NOT DISTINCT FROM o.scope
    AND n.app IS NOT DISTINCT FROM o.app
    AND n.developer IS NOT DISTINCT FROM o.developer
LEFT JOIN (
    SELECT
        grain, scope, app, developer, count(*) AS people,
        count(*) FILTER (in_grace) AS in_grace,
        count(*) FILTER (after_grace) AS after_grace,
        count(*) FILTER (in_brownout) AS in_brownout,
        count(*) FILTER (after_revocation) AS after_revocation,
        count(*) FILTER (after_attestation) AS after_attestation,
        count(*) FILTER (in_lookback) AS in_lookback
    FROM reached
    GROUP BY ALL
) u
    ON u.grain = o.grain
    AND u.scope IS NOT DISTINCT FROM o.scope
    AND u.app IS NOT DISTINCT FROM o.app
    AND u.developer IS NOT DISTINCT FROM o.developer;

-- docs/counting.md, rule 9: apps with a grant that holds at some moment of [restriction, as_of), and
-- those of them that the registry knows the developer of.
CREATE OR REPLACE TEMP TABLE capable AS
SELECT DISTINCT g.scope, g.app_id, a.developer_id
FROM grants g
JOIN scopes s USING (scope)
CROSS JOIN params p
LEFT JOIN apps a ON a.app_id = g.app_id
WHERE s.restricted_at < p.as_of
  AND (g.granted_at IS NULL OR g.granted_at < p.as_of)
  AND (g.revoked_at IS NULL OR g.revoked_at > s.restricted_at);

-- docs/counting.md, rule 9: use of a scope by an app that has no such grant of it.
CREATE OR REPLACE TEMP TABLE without_grant AS
SELECT DISTINCT h.scope, h.app
FROM hits h
CROSS JOIN params p
WHERE p.has_grants AND h.exercised AND h.outcome = 'allowed' AND h.app IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM capable c WHERE c.scope = h.scope AND c.app_id = h.app);

-- docs/counting.md, rule 13: the declared days of each source, and whether a row of the day stands
-- in a readable file. A row's day is the declared day of its partition (rule 14), else that of its
-- time. A day is not expected while it ends later than as_of less grace.
CREATE OR REPLACE TEMP TABLE periods AS
WITH days AS (
    SELECT s.source, s.expected_from + n::INTEGER AS day
    FROM sources s
    CROSS JOIN params p
    CROSS JOIN LATERAL (
        SELECT unnest(range(greatest(0, utc_day(p.as_of) - s.expected_from)::BIGINT)) AS n
    )
    WHERE s.expected_from IS NOT NULL
      AND (s.expected_from + n::INTEGER + 1 - DATE '1970-01-01') * 86400000000000::HUGEINT
          <= least(coalesce(s.expected_until, p.as_of), p.as_of - s.expected_grace)
)
SELECT
    d.source, d.day,
    EXISTS (
        SELECT 1 FROM raw_rows r
        JOIN files f USING (file_no)
        WHERE r.source = d.source AND coalesce(f.declared_day, utc_day(r.time)) = d.day
    ) AS covered
FROM days d;

-- docs/counting.md, rule 13: coverage stands beside every figure, so that no zero is shown bare.
CREATE OR REPLACE TEMP TABLE declared AS
SELECT 100.0 * count(*) FILTER (covered) / nullif(count(*), 0) AS coverage_pct FROM periods;
