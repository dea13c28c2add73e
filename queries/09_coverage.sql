-- Where every row of the input went. One row for each source and file day, for each source, and for all.
-- key: grain, source, file_day
-- column: grain | string |  | source_day, source or all.
-- column: source | string |  | Source, or (all).
-- column: file_day | date | UTC day | The declared partition day; else the day that all times of a file share; null where there is none, and on totals.
-- column: files_expected | int64 | files | null: Expected files are not declared yet.
-- column: files_read | int64 | files | Files whose every row is accounted for.
-- column: files_missing | int64 | files | null: Expected files are not declared yet.
-- column: files_unverified | int64 | files | Files with rows that are not outside, read from pages without checksums (most programs write none), or whose deleted rows are told by such pages: that their rows are as they were written cannot be told from the files.
-- column: files_changed | int64 | files | Files that the report that this one follows had with another content; null where it follows none (--follows).
-- column: files_late | int64 | files | Files that it did not have and that may hold calls before its end; null where none is followed.
-- column: files_unreadable | int64 | files | Left out with --allow-incomplete.
-- column: rows_in_metadata | int64 | rows | Rows that the metadata of the files declare: the sum of all the following.
-- column: rows_outside | int64 | rows | Pruned, without an asked scope, or before the restriction of every asked scope of the row.
-- column: rows_deleted | int64 | rows | Deleted in the table format; 0 for plain files.
-- column: rows_rejected | int64 | rows | Null or unreadable time, negative weight, or a scope value that cannot be parsed.
-- column: rows_deduplicated | int64 | rows | Repeats of an event that is counted elsewhere.
-- column: rows_after_as_of | int64 | rows | At or after as_of.
-- column: rows_denied | int64 | rows | Denied calls.
-- column: rows_unknown | int64 | rows | Calls whose outcome is unknown.
-- column: rows_held_only | int64 | rows | Allowed calls that exercised none of their asked scopes.
-- column: rows_counted | int64 | rows | Allowed calls that exercised one of their asked scopes: the basis of every figure.
-- column: event_id_conflicts | int64 | event ids | Ids whose rows contradict each other (all are kept); on the rows of sources and all.
-- column: periods_expected | int64 | periods | Declared periods; null where none are declared, and on source_day rows.
-- column: periods_covered | int64 | periods | Of them, those with rows in readable files.
-- column: coverage_pct | float64 | percent | periods_covered of periods_expected; null where none are declared.
-- column: deduplicates | bool |  | Whether repeats are found: the source maps an event id; for all, every source does. Null on source_day rows.
-- column: has_status | bool |  | Whether the source maps a status; without one every call counts as allowed. For all, every source does. Null on source_day rows.
-- column: history_known_from | timestamp[us, UTC] | UTC | When the earliest version was made that the tables still tell of: what was changed before cannot be seen. Null for plain files, where the log tells of none, and on source_day rows; for all, the latest of the sources kept as tables.
-- column: history_versions | int64 | versions | Versions of the table, up to the one that is read, that took out or rewrote rows of days from the first restriction to as_of (or of days that are not told), restored an older version, or vacuumed. Null for plain files and on source_day rows.
-- column: history_files_removed | int64 | files | Files that these versions took out; their rows may stand in others since.
-- column: history_rows_removed | int64 | rows | Rows that these files had; null where the table does not tell of all of them.
-- column: verdict | string |  | complete, or incomplete: files were left out.

WITH rows_of AS (
  SELECT 'source_day' AS grain, source, file_day, files_read, files_unverified, files_unreadable, files_changed, files_late,
         rows_in_metadata, rows_outside, rows_deleted, rows_rejected, rows_deduplicated,
         rows_after_as_of, rows_denied, rows_unknown, rows_held_only, rows_counted
  FROM coverage_days
  UNION ALL
  SELECT 'source' AS grain, source, CAST(NULL AS DATE) AS file_day,
         SUM(files_read) AS files_read, SUM(files_unverified) AS files_unverified,
         SUM(files_unreadable) AS files_unreadable,
         CASE WHEN COUNT(files_changed) > 0 THEN SUM(files_changed) END AS files_changed,
         CASE WHEN COUNT(files_late) > 0 THEN SUM(files_late) END AS files_late,
         SUM(rows_in_metadata) AS rows_in_metadata,
         SUM(rows_outside) AS rows_outside,
         SUM(rows_deleted) AS rows_deleted,
         SUM(rows_rejected) AS rows_rejected,
         SUM(rows_deduplicated) AS rows_deduplicated,
         SUM(rows_after_as_of) AS rows_after_as_of,
         SUM(rows_denied) AS rows_denied,
         SUM(rows_unknown) AS rows_unknown,
         SUM(rows_held_only) AS rows_held_only,
         SUM(rows_counted) AS rows_counted
  FROM coverage_days GROUP BY source
  UNION ALL
  SELECT 'all' AS grain, '(all)' AS source, CAST(NULL AS DATE) AS file_day,
         SUM(files_read) AS files_read, SUM(files_unverified) AS files_unverified,
         SUM(files_unreadable) AS files_unreadable,
         CASE WHEN COUNT(files_changed) > 0 THEN SUM(files_changed) END AS files_changed,
         CASE WHEN COUNT(files_late) > 0 THEN SUM(files_late) END AS files_late,
         SUM(rows_in_metadata) AS rows_in_metadata,
         SUM(rows_outside) AS rows_outside,
         SUM(rows_deleted) AS rows_deleted,
         SUM(rows_rejected) AS rows_rejected,
         SUM(rows_deduplicated) AS rows_deduplicated,
         SUM(rows_after_as_of) AS rows_after_as_of,
         SUM(rows_denied) AS rows_denied,
         SUM(rows_unknown) AS rows_unknown,
         SUM(rows_held_only) AS rows_held_only,
         SUM(rows_counted) AS rows_counted
  FROM coverage_days
),
of_sources AS (
  SELECT 'source' AS grain, * FROM coverage_sources WHERE source <> '(all)'
  UNION ALL
  SELECT 'all' AS grain, * FROM coverage_sources WHERE source = '(all)'
)
SELECT d.grain, d.source, d.file_day, d.files_read, d.files_unverified, d.files_unreadable, d.files_changed, d.files_late,
       d.rows_in_metadata,
       d.rows_outside,
       d.rows_deleted,
       d.rows_rejected,
       d.rows_deduplicated,
       d.rows_after_as_of,
       d.rows_denied,
       d.rows_unknown,
       d.rows_held_only,
       d.rows_counted,
       s.event_id_conflicts, s.periods_expected, s.periods_covered, s.coverage_pct,
       s.deduplicates, s.has_status,
       s.history_known_from, s.history_versions, s.history_files_removed, s.history_rows_removed,
       CASE WHEN d.files_unreadable > 0 THEN 'incomplete' ELSE 'complete' END AS verdict
FROM rows_of AS d
LEFT JOIN of_sources AS s
  ON d.grain = s.grain AND d.source = s.source
