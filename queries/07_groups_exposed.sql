-- One row for each listed group and scope: the first groups by people (report.groups), and a row (rest).
-- key: grain, scope, namespace, group_id
-- column: grain | string |  | scope_group, or scope_rest for all that is not listed.
-- column: scope | string |  | Scope.
-- column: namespace | string |  | Namespace of the group's id: the source, unless sources share one.
-- column: group_id | string |  | The group's own id, or (rest).
-- column: groups | int64 | groups | 1, or the number of groups in the rest.
-- column: apps | int64 | apps | Distinct apps that read the group; null for the rest.
-- column: members_then | int64 | people | People who were members at a moment at which the group was read through the scope; null for the rest, and without registry.memberships.
-- column: subjects_observed | int64 | people | Distinct people reached in the group; null for the rest.
-- column: requests_allowed | int64 | requests | Sum of weights of allowed, exercised events.
-- column: first_access | timestamp[us, UTC] | UTC | Null for the rest.
-- column: last_access | timestamp[us, UTC] | UTC | Null for the rest.

SELECT grain, scope, namespace, group_id, groups, apps, members_then, subjects_observed, requests_allowed,
       first_access, last_access
FROM exposure_groups
