-- One row for each regime with a time limit (registry.thresholds), from the dates of [incident]. Check the rules against their sources before use.
-- key: grain, regime, jurisdiction
-- column: grain | string |  | regime.
-- column: regime | string |  | As registry.thresholds names it.
-- column: jurisdiction | string |  | As registry.thresholds writes it.
-- column: starting_event | string |  | aware, discovered, materiality or notified: what starts the clock.
-- column: started_at | timestamp[us, UTC] | UTC | Null where it has not happened by as_of.
-- column: time_limit | int64 |  | Number of units.
-- column: unit | string |  | hours, calendar_days (of 24 hours) or business_days (Monday to Friday in registry.zone; holidays are not known).
-- column: due_at | timestamp[us, UTC] | UTC | When the limit ends; null where it has not started.
-- column: state | string |  | not_started; running; passed: as_of is after it; kept or missed: the duty was done by then, or later (incident.reported).
-- column: source | string |  | Where the rule stands, as registry.thresholds says.

SELECT 'regime' AS grain, regime, jurisdiction, starting_event, started_at, time_limit, unit, due_at, state, source
FROM deadlines
