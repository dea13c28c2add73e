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
    count(DISTINCT k.group_key) AS groups,
    utc_moment(min(k.time)) AS first_access,
    utc_moment(max(k.time)) AS last_access
FROM kinds k
LEFT JOIN apps a ON a.app_id = k.app
WHERE k.holds
GROUP BY k.finding, k.scope, k.app
ORDER BY grain NULLS FIRST, finding NULLS FIRST, scope NULLS FIRST, app_id NULLS FIRST;
