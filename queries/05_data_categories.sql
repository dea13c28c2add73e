-- One row for each restricted scope and each data category that it gives access to.
-- key: grain, scope, data_category
-- column: grain | string |  | scope_category.
-- column: scope | string |  | Scope.
-- column: data_category | string |  | From data_fields of the registry.
-- column: fields_returned | string |  | Fields that allowed, exercised calls of the scope returned, as the log lists them, parted by ; (the same for each category of the scope); null where no source maps fields.
-- column: special_category | bool |  | Whether the registry names the category as special (special_fields of scopes); null where it does not say.
-- column: subjects_observed | int64 | people | Distinct people reached through the scope: each may have had this category read.
-- column: subjects_upper_bound | int64 | people | Those, and every member of every group that was read through the scope, by membership at that moment; null without registry.memberships.
-- column: upper_bound_complete | bool |  | Whether every event of the scope named a subject or a group that had a member then: only then is the upper bound one; null without registry.memberships.
-- column: subjects_unknown_rows | int64 | events | Events of the scope that name no subject and no group with a known member.
-- column: records | int64 | records | Records returned through the scope; null if none is known.
-- column: coverage_pct | float64 | percent | Share of declared periods with rows in readable files: what a zero rests on; null where no source declares any.
-- column: verdict | string |  | complete; incomplete where files were left out.

SELECT 'scope_category' AS grain, f.scope, f.data_category,
       f.fields_returned, f.special_category,
       COALESCE(e.subjects_observed, 0) AS subjects_observed,
       CASE WHEN r.has_memberships THEN COALESCE(e.subjects_upper_bound, 0) END
         AS subjects_upper_bound,
       CASE WHEN r.has_memberships THEN COALESCE(e.upper_bound_complete, TRUE) END
         AS upper_bound_complete,
       COALESCE(e.subjects_unknown_rows, 0) AS subjects_unknown_rows,
       e.records, r.coverage_pct, r.verdict
FROM scope_fields AS f
CROSS JOIN (SELECT coverage_pct, verdict, has_memberships FROM run) AS r
LEFT JOIN (SELECT scope, subjects_observed, subjects_upper_bound, upper_bound_complete,
                  subjects_unknown_rows, records
           FROM exposure_cells WHERE grain = 'scope') AS e
  ON f.scope = e.scope
