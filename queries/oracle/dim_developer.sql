-- dim_developer: who every developer in a table is.
SELECT
    'developer' AS grain,
    shown(developer_id) AS developer_id,
    any_value(developer_name) AS developer_name,
    count(*) AS apps_registered
FROM apps
WHERE developer_id IS NOT NULL
GROUP BY developer_id
UNION ALL
SELECT 'all', '(all)', NULL, count(*) FROM apps
ORDER BY developer_id;
