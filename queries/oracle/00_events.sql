-- From rows to events: which rows are left out, which are repeats, which are events.
--
-- This folder is the second definition of what docs/counting.md says. Only tests use it; it shares
-- nothing with the engine. tests/oracle/ makes the views that it reads from the configuration and
-- the files:
--   params(as_of, lookback_days, groups_limit, has_grants, has_brownouts, has_attestations,
--          has_memberships, has_residency, people_space, members_space)
--                                                          one row; as_of in ns since 1970, UTC
--   scopes(scope, restricted_at, data_fields, special_fields)              all scopes of the registry; ns
--   apps(app_id, app_name, developer_id, developer_name)   the registry's apps
--   extensions(app_id, scope, grace_until)                 ns
--   grant_rows(app_id, scope, granted_at, revoked_at, known_at)  ns, null where not given
--   brownouts(scope, app_id, begins, ends)                 ns; no app is every app
--   attestations(app_id, scope, asked_at, attested_at, statement)  ns; no scope is all of them
--   memberships(group_id, subject, begins, ends)           ns; null: always, still
--   residency(subject, country, subdivision, category, known_at)  ns
--   rules(regime, jurisdiction, operator, number, clock, limit_units, unit, source)
--   incident(clock, at, local_date)                        ns, and the day in the registry's zone
--   sources(source, source_no, maps_subject, maps_event, maps_status, maps_fields, expected_from, expected_until,
--           expected_grace)
--   files(file_no, source, declared_day, last_day, file_day)  readable files in the order of their
--                                                          names; days that the partition declares
--   raw_rows(row_no, file_no, source, person_space, group_space, event_space, time, app, scopes,
--            exercised, scope_unreadable, subject, actor, group_id, outcome, weight, bytes, records,
--            fields, event_id)                             every row, in order of source, file, place
-- Times are whole nanoseconds, null where the value is null or unreadable.

-- DuckDB's // rounds towards zero; days and microseconds are floored (docs/counting.md, rule 1).
CREATE OR REPLACE MACRO floored(a, b) AS (a - ((a % b + b) % b)) // b;
CREATE OR REPLACE MACRO utc_day(t) AS DATE '1970-01-01' + floored(t, 86400000000000)::INTEGER;
CREATE OR REPLACE MACRO utc_moment(t) AS make_timestamptz(floored(t, 1000)::BIGINT);

-- docs/counting.md, rule 10: a real id equal to a word of ours is escaped, by a backslash in front.
-- One that looks as if it were escaped already gets another, so that no two ids meet.
CREATE OR REPLACE MACRO shown(id) AS
    CASE WHEN ltrim(id, '\') IN ('(all)', '(rest)') THEN '\' || id ELSE id END;

-- The asked scopes of each row; one that is repeated within the row counts once (docs/counting.md,
-- rule 2).
CREATE OR REPLACE TEMP TABLE asked AS
SELECT r.row_no, s.scope, s.restricted_at, list_contains(r.exercised, s.scope) AS exercised
FROM (SELECT DISTINCT row_no, exercised, unnest(scopes) AS scope FROM raw_rows) r
JOIN scopes s USING (scope);

-- docs/counting.md, rules 11 and 12: outside comes before rejected. A row whose scopes cannot be
-- parsed is outside only where it lies before every restriction, whatever its scopes may be.
CREATE OR REPLACE TEMP TABLE judged AS
WITH of_row AS (
    SELECT
        row_no,
        list(scope ORDER BY scope) AS asked_scopes,
        list(scope ORDER BY scope) FILTER (exercised) AS exercised_scopes,
        min(restricted_at) AS first_restriction
    FROM asked
    GROUP BY row_no
)
SELECT
    r.row_no, r.file_no, r.source, r.time, r.app, r.outcome, r.bytes, r.records, r.fields,
    r.person_space, r.event_space, r.event_id, o.asked_scopes, o.exercised_scopes,
    -- docs/counting.md, repeats: null and 1 are two weights, so it stays as the log gives it.
    r.weight,
    -- docs/counting.md, rule 5: a mapped subject that is null stays null.
    CASE
        WHEN s.maps_subject AND r.subject IS NOT NULL THEN row(r.person_space, r.subject)
        WHEN NOT s.maps_subject AND r.actor IS NOT NULL THEN row(r.person_space, r.actor)
    END AS person,
    CASE WHEN r.actor IS NOT NULL THEN row(r.person_space, r.actor) END AS actor,
    CASE WHEN r.group_id IS NOT NULL THEN row(r.group_space, r.group_id) END AS group_key,
    CASE
        -- Without a time, only the partition tells whether the row may have been left out.
        WHEN r.time IS NULL
            AND f.last_day < (SELECT utc_day(min(restricted_at)) FROM scopes) THEN 'outside'
        WHEN r.scope_unreadable AND r.time < (SELECT min(restricted_at) FROM scopes) THEN 'outside'
        WHEN r.scope_unreadable THEN 'rejected'
        WHEN o.asked_scopes IS NULL OR r.time < o.first_restriction THEN 'outside'
        WHEN r.time IS NULL OR r.weight < 0 THEN 'rejected'
        ELSE 'kept'
    END AS standing
FROM raw_rows r
JOIN sources s USING (source)
JOIN files f USING (file_no)
LEFT JOIN of_row o USING (row_no);

-- docs/counting.md, rule 7: rows with one id that are equal, the file apart, are one event. The
-- first in order stands for it.
CREATE OR REPLACE TEMP TABLE kept AS
SELECT
    *,
    event_id IS NOT NULL AND row_number() OVER (
        PARTITION BY
            event_space, event_id, time, app, asked_scopes, exercised_scopes, outcome, person,
            actor, group_key, weight, bytes, records, fields
        ORDER BY row_no
    ) > 1 AS is_repeat
FROM judged
WHERE standing = 'kept';

-- docs/counting.md, rule 7: ids whose rows differ, among the rows of one subject. Rows of one
-- namespace that name no subject are taken together. Each conflict counts once, for the first of
-- the sources that hold its rows, so that the sources add up to all.
CREATE OR REPLACE TEMP TABLE conflicts AS
SELECT k.event_space, k.event_id, k.person_space, k.person, arg_min(k.source, s.source_no) AS source
FROM kept k
JOIN sources s USING (source)
WHERE k.event_id IS NOT NULL AND NOT k.is_repeat
GROUP BY k.event_space, k.event_id, k.person_space, k.person
HAVING count(*) > 1;

-- docs/counting.md, rule 12: each row in the first term that applies. Held only and counted are
-- about every asked scope of the row.
CREATE OR REPLACE TEMP TABLE terms AS
SELECT
    j.row_no, j.file_no, j.source,
    CASE
        WHEN j.standing <> 'kept' THEN j.standing
        WHEN k.is_repeat THEN 'deduplicated'
        WHEN j.time >= p.as_of THEN 'after_as_of'
        WHEN j.outcome <> 'allowed' THEN j.outcome
        WHEN j.exercised_scopes IS NULL THEN 'held_only'
        ELSE 'counted'
    END AS term
FROM judged j
LEFT JOIN kept k USING (row_no)
CROSS JOIN params p;

-- docs/counting.md, rule 9: of rows of one grant the one that was known last holds.
CREATE OR REPLACE TEMP TABLE grants AS
SELECT g.app_id, g.scope, g.granted_at, g.revoked_at
FROM grant_rows g
CROSS JOIN params p
WHERE g.known_at IS NULL OR g.known_at <= p.as_of
QUALIFY row_number() OVER (
    PARTITION BY g.app_id, g.scope, g.granted_at ORDER BY g.known_at DESC NULLS LAST
) = 1;

-- docs/counting.md, rules 1 and 2: an event counts for a scope when restricted_at <= t < as_of;
-- each pair of event and such a scope has its windows.
CREATE OR REPLACE TEMP TABLE hits AS
SELECT
    k.row_no, k.time, k.app, k.outcome, k.person, k.actor, k.group_key, k.bytes,
    k.records, a.scope, a.exercised, d.developer_id,
    -- docs/counting.md, rule 5: a null weight is 1.
    coalesce(k.weight, 1) AS weight,
    coalesce(k.time < x.grace_until, false) AS in_grace,
    k.time >= coalesce(x.grace_until, a.restricted_at) AS after_grace,
    k.time >= p.as_of - p.lookback_days * 86400000000000::HUGEINT AS in_lookback,
    EXISTS (
        SELECT 1 FROM brownouts b
        WHERE b.scope = a.scope AND (b.app_id IS NULL OR b.app_id = k.app)
          AND b.begins <= k.time AND k.time < b.ends
    ) AS in_brownout,
    -- After a grant that ended, unless another holds.
    EXISTS (
        SELECT 1 FROM grants g
        WHERE g.app_id = k.app AND g.scope = a.scope AND g.revoked_at <= k.time
    ) AND NOT EXISTS (
        SELECT 1 FROM grants g
        WHERE g.app_id = k.app AND g.scope = a.scope
          AND (g.granted_at IS NULL OR g.granted_at <= k.time)
          AND (g.revoked_at IS NULL OR k.time < g.revoked_at)
    ) AS after_revocation,
    EXISTS (
        SELECT 1 FROM attestations t
        WHERE t.app_id = k.app AND (t.scope IS NULL OR t.scope = a.scope)
          AND t.attested_at <= k.time
    ) AS after_attestation
FROM kept k
JOIN asked a USING (row_no)
CROSS JOIN params p
LEFT JOIN extensions x ON x.app_id = k.app AND x.scope = a.scope
LEFT JOIN apps d ON d.app_id = k.app
WHERE NOT k.is_repeat AND a.restricted_at <= k.time AND k.time < p.as_of;
