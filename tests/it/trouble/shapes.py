"""Small Parquet files of several shapes: shapes.py FOLDER [people]. Those whose name says crc have page checksums."""

import datetime
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 200
APPS = ["app-1", "app-2", "app-3"]
SCOPES = ["read_members", "write_posts", "email"]


def table():
    start = datetime.datetime(2019, 7, 1, tzinfo=datetime.timezone.utc)
    rows = range(ROWS)
    nested = pa.list_(pa.struct([("a", pa.int32()), ("b", pa.list_(pa.int64()))]))
    return pa.table(
        {
            "event_time": pa.array([start + datetime.timedelta(minutes=7 * i) for i in rows], pa.timestamp("us", "UTC")),
            "request_id": [f"request-{i:05}" for i in rows],
            "app_id": [APPS[i % 3] for i in rows],
            "user_id": pa.array([None if i % 17 == 5 else 1000 + i * 7919 % 97 for i in rows], pa.int64()),
            "group_id": pa.array([10 + i % 5 for i in rows], pa.int64()),
            "scope": [SCOPES[i * i % 7 % 3] for i in rows],
            "status": pa.array([403 if i % 11 == 0 else 200 for i in rows], pa.int32()),
            "bytes": pa.array([i * 37 for i in rows], pa.int64()),
            "tags": pa.array([None if i % 9 == 0 else ["x"] * (i % 4) for i in rows], pa.list_(pa.string())),
            "nested": pa.array([[{"a": j, "b": list(range(j))} for j in range(i % 3)] for i in rows], nested),
            "flag": pa.array([i % 3 == 0 for i in rows]),
            "ratio": pa.array([i / 8 for i in rows], pa.float64()),
            "digest": pa.array([bytes([i % 251] * 16) for i in rows], pa.binary(16)),
        }
    )


def people():
    """Memberships and residences in one."""
    start = datetime.datetime(2019, 6, 1, tzinfo=datetime.timezone.utc)
    rows = range(ROWS)
    moment = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "group_id": pa.array([10 + i % 5 for i in rows], pa.int64()),
            "subject": pa.array([1 + i * 7919 % 97 for i in rows], pa.int64()),
            "from": pa.array([None if i % 3 else start + datetime.timedelta(hours=7 * i) for i in rows], moment),
            "to": pa.array([None if i % 4 else start + datetime.timedelta(days=70 + i) for i in rows], moment),
            "country": [["DE", "FR", "US", None][i % 4] for i in rows],
            "as_of": pa.array([start + datetime.timedelta(minutes=i) for i in rows], moment),
        }
    )


SHAPES = {
    "plain-v1-crc": dict(compression="none", use_dictionary=False, write_page_checksum=True),
    "snappy-v1-dictionary-crc": dict(compression="snappy", write_page_checksum=True),
    "zstd-v2-dictionary-crc": dict(compression="zstd", data_page_version="2.0", write_page_checksum=True),
    "gzip-v2-plain": dict(compression="gzip", data_page_version="2.0", use_dictionary=False, write_page_checksum=False),
    "brotli-v1-dictionary": dict(compression="brotli", write_page_checksum=False),
    "lz4-v1-plain-crc": dict(compression="lz4", use_dictionary=False, write_page_checksum=True),
    "delta-v2-crc": dict(
        compression="none",
        use_dictionary=False,
        data_page_version="2.0",
        write_page_checksum=True,
        column_encoding={
            "event_time": "DELTA_BINARY_PACKED",
            "request_id": "DELTA_BYTE_ARRAY",
            "app_id": "DELTA_LENGTH_BYTE_ARRAY",
            "ratio": "BYTE_STREAM_SPLIT",
        },
    ),
}


def main():
    folder = pathlib.Path(sys.argv[1])
    rows = people() if "people" in sys.argv[2:] else table()
    for name, options in SHAPES.items():
        encodings = options.get("column_encoding", {})
        encodings = {column: of for column, of in encodings.items() if column in rows.column_names}
        if "people" in sys.argv[2:] and encodings != options.get("column_encoding", {}):
            encodings = {"from": "DELTA_BINARY_PACKED", "country": "DELTA_BYTE_ARRAY"}
        options = {**options, **({"column_encoding": encodings} if encodings else {})}
        # Two row groups of several pages a column, and an index that says where each page lies.
        place = folder / f"{name}.parquet"
        pq.write_table(
            rows, place, row_group_size=ROWS // 2, data_page_size=128, write_batch_size=16,
            write_page_index=True, **options,
        )


main()
