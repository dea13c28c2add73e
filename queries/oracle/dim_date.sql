-- dim_date: the days of the timeline, without a gap.
WITH counted AS (
    SELECT min(utc_day(time)) AS first, max(utc_day(time)) AS last FROM exposed
),
days AS (
    SELECT unnest(generate_series(first, last, INTERVAL 1 DAY))::DATE AS day FROM counted
)
SELECT
    'day' AS grain,
    d.day,
    year(d.day) AS year,
    quarter(d.day) AS quarter,
    month(d.day) AS month,
    date_trunc('month', d.day)::DATE AS month_start,
    date_trunc('week', d.day)::DATE AS week_start,
    isodow(d.day) AS weekday,
    (d.day - DATE '1970-01-01') * 86400000000000 >= p.as_of - p.lookback_days * 86400000000000
        AND (d.day - DATE '1970-01-01') * 86400000000000 < p.as_of AS is_lookback
FROM days d CROSS JOIN params p
ORDER BY d.day;
