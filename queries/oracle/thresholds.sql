-- thresholds: whether enough people live in a jurisdiction that somebody must be told
-- (docs/counting.md, rule 17).
WITH listed AS (
    SELECT 'all' AS grain, NULL AS scope
    UNION ALL
    SELECT 'scope', s.scope FROM scopes s CROSS JOIN params p WHERE s.restricted_at < p.as_of
),
places AS (
    SELECT regime, jurisdiction, trim(unnest(string_split(jurisdiction, ';'))) AS place
    FROM rules
    WHERE jurisdiction <> 'all'
),
of_place AS (
    SELECT
        l.grain, l.scope, r.regime, r.jurisdiction,
        count(*) FILTER (h.observed AND h.inside) AS observed,
        count(*) FILTER (h.inside) AS upper,
        count(*) FILTER (h.observed AND h.perhaps AND NOT h.inside) AS observed_unplaced,
        count(*) FILTER (h.perhaps AND NOT h.inside) AS upper_unplaced
    FROM listed l
    CROSS JOIN rules r
    LEFT JOIN LATERAL (
        SELECT
            d.person, d.observed, d.country,
            EXISTS (
                SELECT 1 FROM places q
                WHERE q.regime = r.regime AND q.jurisdiction = r.jurisdiction
                  AND coalesce(q.place = d.country
                       OR q.place = CASE
                           WHEN contains(d.subdivision, '-') THEN d.subdivision
                           ELSE d.country || '-' || d.subdivision
                       END AND split_part(q.place, '-', 1) = d.country, false)
            ) AS inside,
            -- Of whom only the country is known, or nothing, may live there. What is no code of
            -- ISO 3166 says nothing.
            d.country IS NULL OR NOT regexp_full_match(d.country, '[A-Z0-9]{2}')
            OR d.country IN ('UK', 'EL')
            OR ((d.subdivision IS NULL
                 OR NOT regexp_full_match(d.subdivision, '[A-Z0-9]{1,3}')
                    AND NOT regexp_full_match(
                        d.subdivision, d.country || '-[A-Z0-9]{1,3}'
                    )) AND EXISTS (
                SELECT 1 FROM places q
                WHERE q.regime = r.regime AND q.jurisdiction = r.jurisdiction
                  AND split_part(q.place, '-', 1) = d.country
            )) AS perhaps
        FROM placed d
        WHERE d.grain = l.grain AND d.scope IS NOT DISTINCT FROM l.scope
    ) h ON true
    WHERE r.jurisdiction <> 'all'
    GROUP BY ALL
),
-- docs/counting.md, rule 13: whether the log shows every call since the restriction: every source declares
-- every day from then to the last that is over, all of them have rows, and no row was rejected.
whole AS (
    SELECT
        l.grain, l.scope,
        (SELECT bool_and(
            s.expected_from IS NOT NULL AND s.expected_from <= b.day
            AND b.day < utc_day(p.as_of - s.expected_grace)
            AND (s.expected_until IS NULL
                 OR utc_day(s.expected_until) >= utc_day(p.as_of - s.expected_grace))
            AND NOT EXISTS (
                SELECT 1 FROM periods d
                WHERE d.source = s.source AND d.day >= b.day AND NOT d.covered
            )
        ) FROM sources s)
        AND NOT EXISTS (SELECT 1 FROM terms t WHERE t.term = 'rejected') AS whole
    FROM listed l
    CROSS JOIN params p
    CROSS JOIN LATERAL (
        SELECT utc_day(min(c.restricted_at)) AS day FROM scopes c
        WHERE c.restricted_at < p.as_of AND (l.scope IS NULL OR c.scope = l.scope)
    ) b
),
counted AS (
    SELECT
        l.grain, l.scope, r.regime, r.jurisdiction, r.operator, r.number, r.source,
        CASE
            WHEN r.jurisdiction = 'all' THEN coalesce(m.subjects_observed, 0)
            WHEN p.has_residency THEN o.observed
        END AS observed,
        CASE
            WHEN NOT p.has_memberships THEN NULL
            WHEN r.jurisdiction = 'all' THEN coalesce(m.subjects_upper_bound, 0)
            WHEN p.has_residency THEN o.upper
        END AS upper,
        CASE
            WHEN r.jurisdiction = 'all' THEN 0 WHEN p.has_residency THEN o.observed_unplaced
        END AS observed_unplaced,
        CASE
            WHEN NOT p.has_memberships THEN NULL
            WHEN r.jurisdiction = 'all' THEN 0
            WHEN p.has_residency THEN o.upper_unplaced
        END AS upper_unplaced,
        coalesce(m.subjects_unknown_rows, 0) = 0 AND coalesce(m.events_unsettled, 0) = 0
            AND w.whole AS complete
    FROM listed l
    CROSS JOIN rules r
    CROSS JOIN params p
    LEFT JOIN whole w ON w.grain = l.grain AND w.scope IS NOT DISTINCT FROM l.scope
    LEFT JOIN measures m ON m.grain = l.grain AND m.scope IS NOT DISTINCT FROM l.scope
    LEFT JOIN of_place o ON o.grain = l.grain AND o.scope IS NOT DISTINCT FROM l.scope
        AND o.regime = r.regime AND o.jurisdiction = r.jurisdiction
),
judged AS (
    SELECT
        *,
        CASE operator WHEN '>=' THEN observed >= number WHEN '>' THEN observed > number END
            AS by_observed,
        CASE operator WHEN '>=' THEN upper >= number WHEN '>' THEN upper > number END AS by_upper,
        CASE operator
            WHEN '>=' THEN upper + upper_unplaced >= number
            WHEN '>' THEN upper + upper_unplaced > number
        END AS by_anybody
    FROM counted
)
SELECT
    grain, CASE WHEN grain = 'all' THEN '(all)' ELSE shown(scope) END AS scope,
    shown(regime) AS regime, jurisdiction, operator, number,
    observed AS subjects_observed, upper AS subjects_upper_bound,
    observed_unplaced AS subjects_observed_unplaced, upper_unplaced AS subjects_upper_bound_unplaced,
    by_observed AS met_by_observed, by_upper AS met_by_upper_bound,
    CASE
        WHEN number IS NULL THEN 'no_number'
        WHEN by_observed THEN 'met'
        WHEN by_upper THEN 'met_by_upper_bound'
        WHEN complete AND NOT by_anybody THEN 'not_met'
        ELSE 'undecided'
    END AS state,
    source
FROM judged
ORDER BY grain, scope, regime, jurisdiction;
