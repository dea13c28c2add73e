-- notification_list: everybody whom subjects_observed counts, of the scopes and apps that were chosen; none
-- means all (docs/counting.md, rules 2, 3, 5 and 6). It reads, beside what 00_events.sql and
-- 10_measures.sql made, chosen_scopes(name) and chosen_apps(name).
WITH reached_by AS (
    SELECT h.row_no, h.time, h.person, h.app, h.weight, h.scope
    FROM hits h
    WHERE h.outcome = 'allowed' AND h.exercised AND h.person IS NOT NULL
      AND (h.scope IN (FROM chosen_scopes) OR NOT EXISTS (FROM chosen_scopes))
      AND (h.app IN (FROM chosen_apps) OR NOT EXISTS (FROM chosen_apps))
),
-- An event of several scopes counts once.
events_of AS (
    SELECT row_no, any_value(time) AS time, any_value(person) AS person, any_value(app) AS app,
           any_value(weight) AS weight
    FROM reached_by
    GROUP BY row_no
),
scopes_of AS (
    SELECT person, string_agg(DISTINCT scope, ';' ORDER BY scope) AS scopes
    FROM reached_by
    GROUP BY person
)
SELECT
    'subject' AS grain,
    e.person[1] AS namespace,
    e.person[2] AS subject,
    any_value(h.country) AS country,
    any_value(h.subdivision) AS subdivision,
    any_value(h.category) AS category,
    any_value(s.scopes) AS scopes,
    string_agg(DISTINCT e.app, ';' ORDER BY e.app) AS apps,
    sum(e.weight) AS requests,
    utc_moment(min(e.time)) AS first_access,
    utc_moment(max(e.time)) AS last_access
FROM events_of e
JOIN scopes_of s ON s.person = e.person
-- A row that names no country says that nobody knows.
LEFT JOIN residences h ON h.person = e.person AND h.country IS NOT NULL
GROUP BY e.person
ORDER BY namespace, subject;
