-- groups_exposed: for each scope the first groups by people, ties by group id, and a row for the
-- rest (docs/counting.md, rules 10 and 15). Groups whose ids tie in text are told apart by
-- namespace.
WITH counted AS (
    SELECT
        scope,
        group_key[1] AS namespace,
        group_key[2] AS group_id,
        count(DISTINCT event_app) AS apps,
        count(DISTINCT person) AS subjects_observed,
        sum(weight) AS requests_allowed,
        min(time) AS first_time,
        max(time) AS last_time
    FROM exposed
    WHERE grain = 'scope' AND group_key IS NOT NULL
    GROUP BY ALL
),
members AS (
    SELECT scope, group_key[1] AS namespace, group_key[2] AS group_id,
           count(DISTINCT person) AS members
    FROM member_reads
    WHERE grain = 'scope'
    GROUP BY ALL
),
ranked AS (
    SELECT
        c.*,
        CASE WHEN p.has_memberships THEN coalesce(m.members, 0) END AS members_then,
        row_number() OVER (
            PARTITION BY scope ORDER BY subjects_observed DESC, group_id, namespace
        ) <= coalesce(p.groups_limit, 9223372036854775807) AS listed
    FROM counted c
    CROSS JOIN params p
    LEFT JOIN members m USING (scope, namespace, group_id)
),
shown_rows AS (
    SELECT
        'scope_group' AS grain, shown(scope) AS scope, shown(namespace) AS namespace, shown(group_id) AS group_id,
        1 AS groups, apps, members_then, subjects_observed, requests_allowed,
        utc_moment(first_time) AS first_access, utc_moment(last_time) AS last_access
    FROM ranked
    WHERE listed
    UNION ALL
    SELECT
        'scope_rest', shown(scope), '(rest)', '(rest)', count(*), NULL, NULL, NULL, sum(requests_allowed),
        NULL, NULL
    FROM ranked
    WHERE NOT listed
    GROUP BY scope
)
SELECT * FROM shown_rows
ORDER BY grain NULLS FIRST, scope NULLS FIRST, namespace NULLS FIRST, group_id NULLS FIRST;
