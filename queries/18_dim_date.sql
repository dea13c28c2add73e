-- The days of daily_timeline without a gap: one row for each from the first to the last. Join it by day.
-- key: day
-- column: grain | string |  | day.
-- column: day | date | UTC day | The day.
-- column: year | int64 | years | Of the Gregorian calendar, as in month and quarter.
-- column: quarter | int64 | quarters | 1 to 4.
-- column: month | int64 | months | 1 to 12.
-- column: month_start | date | UTC day | First day of the month: what to chart months by.
-- column: week_start | date | UTC day | Monday of the week: what to chart weeks by.
-- column: weekday | int64 | days | 1 for Monday to 7 for Sunday.
-- column: is_lookback | bool |  | Whether the day begins in the lookback before as_of.

SELECT 'day' AS grain, day, year, quarter, month, month_start, week_start, weekday, is_lookback FROM dates
