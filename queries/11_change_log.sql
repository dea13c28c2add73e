-- What is not the same as in the report that this one follows (--follows), and what each change comes from. Without one it is empty. One row for each changed value and cause, for each row that only one report has, and for each such table or column.
-- key: table, key, column, step
-- column: grain | string |  | value, row, column or table: what changed.
-- column: table | string |  | Name of the table.
-- column: key | string |  | The key of its row: column=value, parted by blanks; null where it is about no row.
-- column: column | string |  | The column; (row), (column NAME) or (table) for what only one report has.
-- column: step | int64 |  | 1 for the first cause of the value's change, 2 for the next: old of the second is new of the first.
-- column: old | string |  | The value before, as text, or there; null for a null value, and where there was nothing.
-- column: new | string |  | The value with this cause let in; of the last step, the value of this report.
-- column: reason | string |  | recount (another version of the program), policy change (registry, people, settings), mapping change (how rows are read), table history (versions that a table tells of), rewritten file, missing file, late file, later as_of; two parted by "or" where they could not be told apart, by "and" where both took part.

SELECT grain, "table", "key", "column", step, old, new, reason
FROM changes
