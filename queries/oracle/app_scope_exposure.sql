-- app_scope_exposure: scope and app, and their totals, wherever an event counts (docs/counting.md,
-- rules 1, 2, 3, 5, 8 and 10). Names and grace belong to one app, so totals have none.
SELECT
    m.grain,
    CASE WHEN m.grain IN ('scope_app', 'scope') THEN shown(m.scope) ELSE '(all)' END AS scope,
    CASE WHEN m.grain IN ('scope_app', 'app') THEN shown(m.app) ELSE '(all)' END AS app_id,
    a.app_name,
    CASE
        WHEN m.grain IN ('scope_app', 'app') THEN shown(a.developer_id)
        ELSE '(all)'
    END AS developer_id,
    a.developer_name,
    utc_moment(s.restricted_at) AS restricted_at,
    utc_moment(x.grace_until) AS grace_until,
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
LEFT JOIN apps a ON a.app_id = m.app
LEFT JOIN scopes s ON s.scope = m.scope
LEFT JOIN extensions x ON x.app_id = m.app AND x.scope = m.scope
WHERE m.grain IN ('scope_app', 'app', 'scope', 'all')
ORDER BY grain NULLS FIRST, scope NULLS FIRST, app_id NULLS FIRST;
