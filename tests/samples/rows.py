"""Compares what other programs read in the committed tables with the committed plain files.

    rows.py FOLDER

Delta is read by the deltalake package's DuckDB-free reader, Iceberg by ClickHouse (chDB), and by pyiceberg as it
was before rows were deleted by their ids, which pyiceberg does not read. FOLDER is `data-samples`. Prints one
line for each reading; exits 1 where the rows are not the same.
"""
