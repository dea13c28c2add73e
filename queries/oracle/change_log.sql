-- change_log of a report that follows no other: it has nothing to tell. What one that follows another must
-- say is worked out from the tables of both (tests/oracle/changes.py).
SELECT
    NULL::VARCHAR AS grain, NULL::VARCHAR AS "table", NULL::VARCHAR AS "key",
    NULL::VARCHAR AS "column", NULL::BIGINT AS step, NULL::VARCHAR AS "old", NULL::VARCHAR AS "new",
    NULL::VARCHAR AS reason
WHERE false
