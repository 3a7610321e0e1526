"""Reads one table of a lake folder without any code of Millrace, and checks what its metadata says.

    python3 read_lake.py LAKE_FOLDER BUCKET NAMESPACE TABLE

It walks as a foreign engine does: version-hint.text, metadata JSON, manifest list, manifests,
Parquet files; a location s3://BUCKET/KEY is the file LAKE_FOLDER/KEY. It prints one JSON object:
{rows, files, snapshots, progress, problems}. Every claim that does not hold is a problem in words;
the exit code is 1 if there is one. Needs fastavro and pyarrow.
"""

import datetime
import json
import os
import struct
import sys

import fastavro
import pyarrow.parquet as parquet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
PARQUET_TYPES = {
    "string": ("BYTE_ARRAY", "String"),
    "int": ("INT32", None),
    "long": ("INT64", None),
    "double": ("DOUBLE", None),
    "boolean": ("BOOLEAN", None),
    "timestamptz": ("INT64", "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds"),
}

problems = []


def check(holds, problem):
    if not holds:
        problems.append(problem)


def decode(kind, data):
    """Iceberg's single-value serialization; strings stay bytes, which sort as UTF-8 does."""
    if kind == "string":
        return data
    form = {"int": "<i", "long": "<q", "timestamptz": "<q", "double": "<d", "boolean": "<?"}[kind]
    return struct.unpack(form, data)[0]


def comparable(kind, value):
    if kind == "string":
        return value.encode()
    if kind == "timestamptz":
        return (value - EPOCH) // MICROSECOND
    return value


def by_id(pairs):
    return {pair["key"]: pair["value"] for pair in pairs or []}


class Lake:
    def __init__(self, folder, bucket):
        self.folder = folder
        self.prefix = f"s3://{bucket}/"

    def path(self, location):
        if not location.startswith(self.prefix):
            raise SystemExit(f"{location} is not in {self.prefix}")
        return os.path.join(self.folder, location[len(self.prefix) :])

    def avro(self, location):
        with open(self.path(location), "rb") as file:
            reader = fastavro.reader(file)
            return reader.metadata, list(reader)


def newest_metadata(folder, namespace, table):
    metadata_folder = os.path.join(folder, namespace, table, "metadata")
    with open(os.path.join(metadata_folder, "version-hint.text")) as file:
        version = int(file.read())
    while os.path.exists(os.path.join(metadata_folder, f"v{version + 1}.metadata.json")):
        version += 1
    with open(os.path.join(metadata_folder, f"v{version}.metadata.json")) as file:
        return json.load(file)


def check_snapshots(metadata):
    schema_ids = {schema["schema-id"] for schema in metadata["schemas"]}
    previous = None
    for snapshot in metadata["snapshots"]:
        name = f"snapshot {snapshot['snapshot-id']}"
        check(snapshot.get("schema-id") in schema_ids, f"{name} names no schema of the table")
        check(
            snapshot.get("parent-snapshot-id") == (previous and previous["snapshot-id"]),
            f"{name} does not follow the one before it",
        )
        check(
            previous is None or snapshot["sequence-number"] > previous["sequence-number"],
            f"{name} has no greater sequence number than the one before it",
        )
        check("operation" in snapshot["summary"], f"{name} names no operation")
        previous = snapshot
    main = metadata["refs"]["main"]["snapshot-id"]
    check(main == metadata["current-snapshot-id"], "branch main is not the current snapshot")
    check(
        metadata["last-sequence-number"] == (previous["sequence-number"] if previous else 0),
        "last-sequence-number is not the newest snapshot's",
    )


def progress_of(metadata):
    by_snapshot = {snapshot["snapshot-id"]: snapshot for snapshot in metadata["snapshots"]}
    snapshot = by_snapshot.get(metadata["current-snapshot-id"])
    while snapshot is not None:
        summary = snapshot["summary"]
        if "millrace.log-id" in summary:
            return {
                "logId": summary["millrace.log-id"],
                "nextOffset": int(summary["millrace.next-offset"]),
                "writerEpoch": int(summary["millrace.writer-epoch"]),
            }
        snapshot = by_snapshot.get(snapshot.get("parent-snapshot-id"))
    return None


def check_columns(name, file, fields):
    """Names, field ids and types of the Parquet schema are those of the table schema."""
    physical = file.metadata.schema
    by_name = {
        physical.column(index).name: physical.column(index) for index in range(len(physical))
    }
    check(
        set(by_name) == {field["name"] for field in fields},
        f"{name} has other columns than the table",
    )
    for field in file.schema_arrow:
        own = int((field.metadata or {}).get(b"PARQUET:field_id", b"-1"))
        expected = next((each["id"] for each in fields if each["name"] == field.name), None)
        check(own == expected, f"{name}: {field.name} has field id {own}, not {expected}")
    for field in fields:
        column = by_name.get(field["name"])
        if column is None:
            continue
        kind, logical = PARQUET_TYPES[field["type"]]
        fits = column.physical_type == kind and (
            logical is None or str(column.logical_type).startswith(logical)
        )
        check(fits, f"{name}: {field['name']} is {column.physical_type} {column.logical_type}")


def check_values(name, rows, entry, fields):
    counts, nulls = by_id(entry["value_counts"]), by_id(entry["null_value_counts"])
    lowers, uppers = by_id(entry["lower_bounds"]), by_id(entry["upper_bounds"])
    for field in fields:
        if field["name"] not in rows.column_names:
            continue
        column, kind, label = rows.column(field["name"]), field["type"], f"{name}: {field['name']}"
        check(
            counts.get(field["id"], len(column)) == len(column), f"{label} has a wrong value count"
        )
        check(
            nulls.get(field["id"], column.null_count) == column.null_count,
            f"{label} has {column.null_count} nulls, not {nulls.get(field['id'])}",
        )
        check(not field["required"] or column.null_count == 0, f"{label} is required and has nulls")
        if field["id"] not in lowers and field["id"] not in uppers:
            continue
        values = [comparable(kind, value) for value in column.to_pylist() if value is not None]
        if field["id"] in lowers:
            lower = decode(kind, lowers[field["id"]])
            check(
                lower == lower and all(value >= lower for value in values),
                f"{label} has values below {lower}",
            )
        if field["id"] in uppers:
            upper = decode(kind, uppers[field["id"]])
            check(
                upper == upper and all(value <= upper for value in values),
                f"{label} has values above {upper}",
            )


def check_file(lake, entry, fields, partition_name, source):
    location = entry["file_path"]
    name, path = location[len(lake.prefix) :], lake.path(location)
    check(
        os.path.getsize(path) == entry["file_size_in_bytes"],
        f"{name} has another size than its entry",
    )
    file = parquet.ParquetFile(path)
    check(
        file.metadata.num_rows == entry["record_count"],
        f"{name} has {file.metadata.num_rows} rows, not {entry['record_count']}",
    )
    check_columns(name, file, fields)
    rows = file.read()
    check_values(name, rows, entry, fields)
    day = entry["partition"][partition_name]
    if not isinstance(day, int):
        day = (day - EPOCH.date()).days
    text = (EPOCH.date() + datetime.timedelta(days=day)).isoformat()
    check(f"/{partition_name}={text}/" in location, f"{name} is not in the folder of day {text}")
    others = {(value - EPOCH).days for value in rows.column(source).to_pylist()} - {day}
    check(not others, f"{name} is of day {day} and has rows of days {sorted(others)}")
    return rows.num_rows, day


def check_manifest(lake, listed, metadata, fields, partition_name, source):
    location = listed["manifest_path"]
    name = location[len(lake.prefix) :]
    check(
        os.path.getsize(lake.path(location)) == listed["manifest_length"],
        f"{name} has another length than listed",
    )
    header, entries = lake.avro(location)
    schema_ids = [str(schema["schema-id"]) for schema in metadata["schemas"]]
    check(header.get("schema-id") in schema_ids, f"{name} names no schema of the table")
    check(header.get("format-version") == "2", f"{name} is not of format version 2")
    check(
        json.loads(header["partition-spec"]) == metadata["partition-specs"][0]["fields"],
        f"{name} has another partition spec than the table",
    )
    check('"field-id"' in header["avro.schema"], f"{name} has no field ids in its header")
    check(
        len(entries) == listed["added_files_count"] + listed["existing_files_count"],
        f"{name} has {len(entries)} entries, which is not what the list says",
    )
    total, files, days = 0, 0, []
    for entry in entries:
        inherits = entry["sequence_number"] is None and entry["file_sequence_number"] is None
        check(entry["status"] != 1 or inherits, f"{name} does not inherit its sequence number")
        rows, day = check_file(lake, entry["data_file"], fields, partition_name, source)
        total, files, days = total + rows, files + 1, [*days, day]
    check(
        total == listed["added_rows_count"] + listed["existing_rows_count"],
        f"{name} has another row count than listed",
    )
    (summary,) = listed["partitions"]
    bounds = [decode("int", summary[side]) for side in ("lower_bound", "upper_bound")]
    check(
        bounds == [min(days), max(days)] and not summary["contains_null"],
        f"{name} has days {days}, not {bounds}",
    )
    return total, files


def main(folder, bucket, namespace, table):
    lake = Lake(folder, bucket)
    metadata = newest_metadata(folder, namespace, table)
    check(metadata["format-version"] == 2, "the table is not of format version 2")
    check(
        metadata["location"] == f"{lake.prefix}{namespace}/{table}",
        "the table's location is not its folder",
    )
    check_snapshots(metadata)
    fields = next(
        each["fields"]
        for each in metadata["schemas"]
        if each["schema-id"] == metadata["current-schema-id"]
    )
    (partition,) = metadata["partition-specs"][0]["fields"]
    source = next(field["name"] for field in fields if field["id"] == partition["source-id"])
    check(
        partition["transform"] == "day" and partition["name"] == f"{source}_day",
        "the table is not partitioned by day",
    )
    rows, files = 0, 0
    current = next(
        (
            each
            for each in metadata["snapshots"]
            if each["snapshot-id"] == metadata["current-snapshot-id"]
        ),
        None,
    )
    if current is not None:
        header, manifests = lake.avro(current["manifest-list"])
        check(
            header.get("snapshot-id") == str(current["snapshot-id"]),
            "the manifest list is another snapshot's",
        )
        for listed in manifests:
            check(
                1 <= listed["sequence_number"] <= current["sequence-number"],
                "a manifest is of the future",
            )
            more_rows, more_files = check_manifest(
                lake, listed, metadata, fields, partition["name"], source
            )
            rows, files = rows + more_rows, files + more_files
        summary = current["summary"]
        check(
            int(summary.get("total-records", rows)) == rows,
            f"the summary counts {summary.get('total-records')} rows, not {rows}",
        )
        check(
            int(summary.get("total-data-files", files)) == files, "the summary counts other files"
        )
    report = {
        "rows": rows,
        "files": files,
        "snapshots": len(metadata["snapshots"]),
        "progress": progress_of(metadata),
        "problems": problems,
    }
    print(json.dumps(report))
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
