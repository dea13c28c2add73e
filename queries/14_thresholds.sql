-- One row for each scope (or all) and rule of registry.thresholds: whether enough people live there that somebody must be told. Check the rules against their sources before use.
-- key: grain, scope, regime, jurisdiction
-- column: grain | string |  | scope or all.
-- column: scope | string |  | Scope, or (all).
-- column: regime | string |  | As registry.thresholds names it.
-- column: jurisdiction | string |  | all, or places parted by ; as registry.thresholds writes them.
-- column: operator | string |  | >= or >; null where the regime asks for no number.
-- column: number | int64 | people | The threshold.
-- column: subjects_observed | int64 | people | Distinct people reached who live there; null where a place is asked for and there is no registry.residency.
-- column: subjects_upper_bound | int64 | people | With members of groups that were read; null without registry.memberships, too.
-- column: subjects_observed_unplaced | int64 | people | Observed people who may live there: no country is known of them, or only the country of a subdivision.
-- column: subjects_upper_bound_unplaced | int64 | people | The same of the upper bound.
-- column: met_by_observed | bool |  | Whether the lower bound, people observed, reaches the number.
-- column: met_by_upper_bound | bool |  | Whether the upper bound does.
-- column: state | string |  | met; met_by_upper_bound; not_met; undecided, where what is not known could decide; no_number.
-- column: source | string |  | Where the rule stands, as registry.thresholds says.

SELECT grain, scope, regime, jurisdiction, operator, number, subjects_observed,
       subjects_upper_bound, subjects_observed_unplaced, subjects_upper_bound_unplaced,
       met_by_observed, met_by_upper_bound, state, source
FROM thresholds
