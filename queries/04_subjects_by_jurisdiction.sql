-- One row for each scope, app (or all of either) and place where reached people live: exact, a person has one residence.
-- key: grain, scope, app_id, is_known, country, subdivision, category
-- column: grain | string |  | scope_app, scope, app or all.
-- column: scope | string |  | Scope, or (all).
-- column: app_id | string |  | App, (all), or null: events that name no app.
-- column: app_name | string |  | From the registry.
-- column: is_known | bool |  | Whether the registry says where they live; false for people of whom it says nothing, or two things of one moment.
-- column: country | string |  | As registry.residency writes it; null where it is not known.
-- column: subdivision | string |  | As registry.residency writes it.
-- column: category | string |  | Category of person, as registry.residency writes it.
-- column: subjects_observed | int64 | people | Distinct people whose data was reached after the restriction.
-- column: subjects_upper_bound | int64 | people | Those, and members of groups that were read, by membership at that moment; null without registry.memberships.
-- column: residency_from | timestamp[us, UTC] | UTC | The earliest moment at which a residence of theirs was known; null where the registry gives none.
-- column: residency_to | timestamp[us, UTC] | UTC | The latest; never after as_of.

SELECT grain, scope, app_id, app_name, is_known, country, subdivision, category, subjects_observed,
       subjects_upper_bound, residency_from, residency_to
FROM residents
