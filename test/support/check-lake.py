"""Compares a lake with the account of those who sent, without any code of Millrace.

    python3 check-lake.py ACCOUNT LAKE_FOLDER BUCKET NAMESPACE [--until N] [--ledger JSON]

ACCOUNT is written by test/support/crash-load.mjs, outside of what is tested, one JSON object a line:
  {"sent":ID,"producer":P,"sequence":S,"first":A,"count":N,"identities":I,"refused":R}   before sending
  {"acknowledged":ID,"at":POSITION}                                                        after the 202
`first` and `count` say which indexes were accepted. Rows carry producer, sequence and index a second
time, in `data`, so that a row under a wrong batch is seen too. With --until only acknowledgements at or
before that position count; what was sent and not acknowledged may be there whole or not at all.

The files of the newest snapshots are found as any engine finds them (test/system/read_lake.py), and
read with pyarrow. Prints one JSON object; the exit code is 1 when a promise is broken:
  lost         acknowledged batches of which nothing is there
  torn         batches of which some events, identities or refusals are missing
  doubled      batches of which some are there more than once
  invented     rows that nobody sent: an unknown batch, or an index it does not have
  confused     rows whose own producer, sequence or index is another's
  outOfAccount by how much the server's ledger differs from what is in the files
"""

import argparse
import json
import os
import sys

import pyarrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from read_lake import Lake, newest_metadata  # noqa: E402

EXAMPLES_MAX = 5
PROMISES = ("lost", "torn", "doubled", "invented", "confused", "outOfAccount")


def read_account(path, until):
    sent, acknowledged = {}, set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if "sent" in entry:
                sent[entry["sent"]] = entry
            elif until is None or entry["at"] <= until:
                acknowledged.add(entry["acknowledged"])
    return sent, acknowledged


def data_files(lake, namespace, table):
    try:
        metadata = newest_metadata(lake.folder, namespace, table)
    except FileNotFoundError:
        return []
    snapshots = {each["snapshot-id"]: each for each in metadata["snapshots"]}
    current = snapshots.get(metadata["current-snapshot-id"])
    if current is None:
        return []
    _, manifests = lake.avro(current["manifest-list"])
    entries = [entry for each in manifests for entry in lake.avro(each["manifest_path"])[1]]
    return [lake.path(entry["data_file"]["file_path"]) for entry in entries if entry["status"] != 2]


def read_rows(lake, namespace, table, columns):
    # One by one: a dataset would read the folder of a day as a column of its own.
    parts = [
        parquet.ParquetFile(path).read(columns=columns)
        for path in data_files(lake, namespace, table)
    ]
    return pyarrow.concat_tables(parts).combine_chunks() if parts else None


def by_batch(rows):
    """{batch: (rows, distinct indexes, lowest, highest)}"""
    if rows is None:
        return {}
    grouped = rows.group_by("batch_id").aggregate(
        [("event_index", kind) for kind in ("count", "count_distinct", "min", "max")]
    )
    return {
        each["batch_id"]: tuple(
            each[f"event_index_{kind}"] for kind in ("count", "count_distinct", "min", "max")
        )
        for each in grouped.to_pylist()
    }


def confused_rows(rows):
    """Rows that say in their data that they belong elsewhere."""
    if rows is None:
        return 0
    number = compute.binary_join_element_wise(
        compute.binary_join_element_wise("p", compute.cast(rows["pointer_id"], "string"), ""),
        compute.cast(compute.cast(rows["client_x"], "int64"), "string"),
        "-",
    )
    right = compute.and_kleene(
        compute.equal(number, rows["batch_id"]),
        compute.equal(rows["client_y"], compute.cast(rows["event_index"], "double")),
    )
    return len(rows) - (compute.sum(compute.fill_null(right, False)).as_py() or 0)


class Findings:
    def __init__(self):
        self.counts = dict.fromkeys(PROMISES, 0)
        self.examples = []

    def add(self, promise, text, count=1):
        self.counts[promise] += count
        if count > 0 and len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{promise}: {text}")


def judge(findings, sent, acknowledged, tables):
    for batch in acknowledged:
        entry = sent[batch]
        places = [name for name, member in MEMBERS.items() if entry[member] > 0]
        if not any(batch in tables[name] for name in places):
            findings.add("lost", batch)
    for name, member in MEMBERS.items():
        for batch, (count, distinct, lowest, highest) in tables[name].items():
            entry = sent.get(batch)
            if entry is None:
                findings.add("invented", f"{name} of {batch}", count)
                continue
            if count > distinct:
                findings.add("doubled", f"{name} of {batch}: {count} rows, {distinct} indexes")
            last = entry["first"] + entry["count"]
            low, high = (0, entry["first"]) if name == "rejections" else (entry["first"], last)
            if lowest < low or highest >= high or distinct > entry[member]:
                findings.add("invented", f"{name} of {batch}: {lowest} to {highest}")
        present = set().union(*tables.values())
        for batch in present & sent.keys():
            found = tables[name].get(batch, (0, 0))[1]
            if found < sent[batch][member]:
                findings.add("torn", f"{name} of {batch}: {found} of {sent[batch][member]}")


MEMBERS = {"events": "count", "identities": "identities", "rejections": "refused"}
COLUMNS = {
    "events": ["batch_id", "event_index", "pointer_id", "client_x", "client_y"],
    "identities": ["batch_id", "event_index"],
    "rejections": ["batch_id", "event_index"],
}


def main(options):
    sent, acknowledged = read_account(options.account, options.until)
    lake = Lake(options.folder, options.bucket)
    rows = {name: read_rows(lake, options.namespace, name, COLUMNS[name]) for name in MEMBERS}
    tables = {name: by_batch(each) for name, each in rows.items()}
    row_count = {name: 0 if each is None else len(each) for name, each in rows.items()}
    findings = Findings()
    judge(findings, sent, acknowledged, tables)
    findings.add("confused", "their data names another batch", confused_rows(rows["events"]))
    if options.ledger is not None:
        ledger = json.loads(options.ledger)
        for member, name in {"delivered": "events", "rejected": "rejections"}.items():
            text = f"the ledger has {ledger[member]} {member}, the files {row_count[name]}"
            findings.add("outOfAccount", text, abs(ledger[member] - row_count[name]))
    present = set().union(*tables.values())
    report = {
        "events": row_count["events"],
        "batches": len(present),
        "acknowledged": len(acknowledged),
        "unacknowledged": len((present & sent.keys()) - acknowledged),
        **findings.counts,
        "examples": findings.examples,
    }
    print(json.dumps(report))
    return 1 if any(findings.counts.values()) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("account", "folder", "bucket", "namespace"):
        parser.add_argument(name)
    parser.add_argument("--until", type=int)
    parser.add_argument("--ledger")
    sys.exit(main(parser.parse_args()))
