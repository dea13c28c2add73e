-- coverage: where every row went, by source and file day, by source, and in all (docs/counting.md,
-- rules 7, 10, 12 and 13).
WITH grains AS (
    SELECT * FROM (
        VALUES ('source_day', true, true), ('source', true, false), ('all', false, false)
    ) g(grain, by_source, by_day)
),
-- A source without files still has its own row.
cells AS (
    SELECT DISTINCT
        g.grain,
        CASE WHEN g.by_source THEN s.source END AS source,
        CASE WHEN g.by_day THEN f.file_day END AS file_day
    FROM sources s
    LEFT JOIN files f USING (source)
    CROSS JOIN grains g
    WHERE NOT g.by_day OR f.file_no IS NOT NULL
),
filed AS (
    SELECT
        g.grain,
        CASE WHEN g.by_source THEN f.source END AS source,
        CASE WHEN g.by_day THEN f.file_day END AS file_day,
        count(DISTINCT f.file_no) AS files_read,
        count(DISTINCT f.file_no) FILTER (NOT f.has_checksums AND t.term <> 'outside')
            AS files_unverified,
        count(t.row_no) AS rows_in_metadata,
        count(*) FILTER (t.term = 'outside') AS rows_outside,
        count(*) FILTER (t.term = 'rejected') AS rows_rejected,
        count(*) FILTER (t.term = 'deduplicated') AS rows_deduplicated,
        count(*) FILTER (t.term = 'after_as_of') AS rows_after_as_of,
        count(*) FILTER (t.term = 'denied') AS rows_denied,
        count(*) FILTER (t.term = 'unknown') AS rows_unknown,
        count(*) FILTER (t.term = 'held_only') AS rows_held_only,
        count(*) FILTER (t.term = 'counted') AS rows_counted
    FROM files f
    LEFT JOIN terms t USING (file_no)
    CROSS JOIN grains g
    GROUP BY ALL
),
contradicted AS (
    SELECT
        g.grain,
        CASE WHEN g.by_source THEN c.source END AS source,
        count(*) AS event_id_conflicts
    FROM conflicts c
    CROSS JOIN grains g
    WHERE NOT g.by_day
    GROUP BY ALL
),
mapped AS (
    SELECT
        g.grain,
        CASE WHEN g.by_source THEN s.source END AS source,
        bool_and(s.maps_event) AS deduplicates,
        bool_and(s.maps_status) AS has_status
    FROM sources s
    CROSS JOIN grains g
    WHERE NOT g.by_day
    GROUP BY ALL
),
declared_by AS (
    SELECT
        g.grain,
        CASE WHEN g.by_source THEN s.source END AS source,
        count(p.day) AS periods_expected,
        count(p.day) FILTER (p.covered) AS periods_covered
    FROM sources s
    LEFT JOIN periods p USING (source)
    CROSS JOIN grains g
    WHERE s.expected_from IS NOT NULL AND NOT g.by_day
    GROUP BY ALL
)
SELECT
    c.grain,
    CASE WHEN c.grain = 'all' THEN '(all)' ELSE shown(c.source) END AS source,
    c.file_day,
    coalesce(f.files_read, 0) AS files_read,
    coalesce(f.files_unverified, 0) AS files_unverified,
    0 AS files_unreadable,
    -- Of a report that follows no other.
    NULL AS files_changed,
    NULL AS files_late,
    coalesce(f.rows_in_metadata, 0) AS rows_in_metadata,
    coalesce(f.rows_outside, 0) AS rows_outside,
    0 AS rows_deleted,
    coalesce(f.rows_rejected, 0) AS rows_rejected,
    coalesce(f.rows_deduplicated, 0) AS rows_deduplicated,
    coalesce(f.rows_after_as_of, 0) AS rows_after_as_of,
    coalesce(f.rows_denied, 0) AS rows_denied,
    coalesce(f.rows_unknown, 0) AS rows_unknown,
    coalesce(f.rows_held_only, 0) AS rows_held_only,
    coalesce(f.rows_counted, 0) AS rows_counted,
    CASE WHEN c.grain <> 'source_day' THEN coalesce(x.event_id_conflicts, 0) END
        AS event_id_conflicts,
    d.periods_expected,
    d.periods_covered,
    100.0 * d.periods_covered / nullif(d.periods_expected, 0) AS coverage_pct,
    -- docs/counting.md, rules 3 and 7: where they are missing, the report says so.
    n.deduplicates,
    n.has_status,
    -- Plain files tell nothing of what they were.
    NULL AS history_known_from,
    NULL AS history_versions,
    NULL AS history_files_removed,
    NULL AS history_rows_removed,
    'complete' AS verdict
FROM cells c
LEFT JOIN filed f
    ON f.grain = c.grain
    AND f.source IS NOT DISTINCT FROM c.source
    AND f.file_day IS NOT DISTINCT FROM c.file_day
LEFT JOIN contradicted x ON x.grain = c.grain AND x.source IS NOT DISTINCT FROM c.source
LEFT JOIN declared_by d ON d.grain = c.grain AND d.source IS NOT DISTINCT FROM c.source
LEFT JOIN mapped n ON n.grain = c.grain AND n.source IS NOT DISTINCT FROM c.source
ORDER BY c.grain NULLS FIRST, source NULLS FIRST, c.file_day NULLS FIRST;
