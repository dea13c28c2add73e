"""From a configuration and Parquet files to the views that queries/oracle/ reads.

Nothing here comes from the program: docs/counting.md and the configuration's documentation are the
only sources, so that a mistake in one definition shows as a difference.
"""
