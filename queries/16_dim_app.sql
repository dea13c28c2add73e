-- What every app in a table is: one row for each app of the registry, of a table or of a promise of deletion, and one for all. Join it by app_id; rows of events that name no app have none.
-- key: app_id
-- column: grain | string |  | app or all.
-- column: app_id | string |  | App, or (all).
-- column: app_name | string |  | From the registry.
-- column: developer_id | string |  | From the registry; (all) for (all), null where it is not known.
-- column: developer_name | string |  | From the registry.
-- column: is_registered | bool |  | Whether the registry has a row of the app; null for (all).

SELECT 'app' AS grain, app_id, app_name, developer_id, developer_name, is_registered FROM apps
UNION ALL
SELECT 'all' AS grain, '(all)' AS app_id, CAST(NULL AS VARCHAR) AS app_name, '(all)' AS developer_id,
       CAST(NULL AS VARCHAR) AS developer_name, CAST(NULL AS BOOLEAN) AS is_registered
FROM run
