-- Who every developer in a table is: one row for each developer of the registry, and one for all. Join it by developer_id; rows of apps without a known developer have none.
-- key: developer_id
-- column: grain | string |  | developer or all.
-- column: developer_id | string |  | Developer, or (all).
-- column: developer_name | string |  | From the registry.
-- column: apps_registered | int64 | apps | Apps of the developer in the registry, used or not; for (all) those without a known developer too.

SELECT 'developer' AS grain, developer_id, MAX(developer_name) AS developer_name, COUNT(*) AS apps_registered
FROM apps
WHERE developer_id IS NOT NULL
GROUP BY developer_id
UNION ALL
SELECT 'all' AS grain, '(all)' AS developer_id, CAST(NULL AS VARCHAR) AS developer_name,
       COALESCE(SUM(CASE WHEN is_registered THEN 1 ELSE 0 END), 0) AS apps_registered
FROM apps
