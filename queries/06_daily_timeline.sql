-- One row for each UTC day with an allowed, exercised event, for each scope and app and their totals.
-- key: grain, scope, app_id, day
-- column: grain | string |  | scope_app, app (scope is (all)), scope (app is (all)) or all.
-- column: scope | string |  | Scope, or (all).
-- column: app_id | string |  | App, or (all); null on rows of events that name no app.
-- column: app_name | string |  | From the registry.
-- column: day | date | UTC day | Day of the events.
-- column: requests_allowed | int64 | requests | Sum of weights of allowed, exercised events of the day.
-- column: subjects_observed | int64 | people | Distinct people on that day.
-- column: subjects_new | int64 | people | People seen on that day and on none before it.
-- column: subjects_cumulative | int64 | people | Distinct people up to and with that day.

SELECT grain, scope, app_id, app_name, day, requests_allowed, subjects_observed, subjects_new,
       subjects_cumulative
FROM exposure_days
