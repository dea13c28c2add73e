-- developer_exposure: people counted once over all apps of a developer (docs/counting.md, rules 2,
-- 5, 8 and 10).
WITH names AS (
    SELECT developer_id, max(developer_name) AS developer_name FROM apps GROUP BY developer_id
)
SELECT
    m.grain,
    CASE WHEN m.grain = 'scope_developer' THEN shown(m.scope) ELSE '(all)' END AS scope,
    shown(m.developer) AS developer_id,
    n.developer_name,
    m.apps_used AS apps_used_after_restriction,
    utc_moment(s.restricted_at) AS restricted_at,
    m.requests_allowed, m.requests_denied, m.requests_unknown, m.requests_held_only,
    m.subjects_observed, m.subjects_upper_bound, m.upper_bound_complete,
    m.subjects_unknown_rows, m.actors, m.groups, m.records, m.bytes,
    utc_moment(m.first_time) AS first_access,
    utc_moment(m.last_time) AS last_access,
    m.active_days,
    m.requests_in_grace, m.subjects_in_grace,
    m.subjects_upper_bound_in_grace, m.subjects_unknown_rows_in_grace,
    m.requests_after_grace, m.subjects_after_grace,
    m.subjects_upper_bound_after_grace, m.subjects_unknown_rows_after_grace,
    m.requests_in_brownout, m.subjects_in_brownout,
    m.subjects_upper_bound_in_brownout, m.subjects_unknown_rows_in_brownout,
    m.requests_after_revocation, m.subjects_after_revocation,
    m.subjects_upper_bound_after_revocation, m.subjects_unknown_rows_after_revocation,
    m.requests_after_attestation, m.subjects_after_attestation,
    m.subjects_upper_bound_after_attestation, m.subjects_unknown_rows_after_attestation,
    m.requests_lookback, m.subjects_lookback,
    m.subjects_upper_bound_lookback, m.subjects_unknown_rows_lookback,
    m.groups_lookback,
    d.coverage_pct,
    'complete' AS verdict
FROM measures m
CROSS JOIN declared d
JOIN names n ON n.developer_id = m.developer
LEFT JOIN scopes s ON s.scope = m.scope
WHERE m.grain IN ('scope_developer', 'developer')
ORDER BY grain NULLS FIRST, scope NULLS FIRST, developer_id NULLS FIRST;
