-- dim_app: what every app in a table is.
WITH listed AS (
    SELECT app_id FROM apps
    UNION
    SELECT app FROM measures WHERE app IS NOT NULL
    UNION
    SELECT app_id FROM attestations
)
SELECT
    'app' AS grain,
    shown(l.app_id) AS app_id,
    a.app_name,
    shown(a.developer_id) AS developer_id,
    a.developer_name,
    a.app_id IS NOT NULL AS is_registered
FROM listed l
LEFT JOIN apps a ON a.app_id = l.app_id
UNION ALL
SELECT 'all', '(all)', NULL, '(all)', NULL, NULL
ORDER BY app_id;
