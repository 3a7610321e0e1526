"""Turns the recorded sessions of the Balabit Mouse Dynamics Challenge into a file for `millrace import`.

    python3 bench/balabit/convert.py train.parquet events.ndjson

The Parquet file has the columns user, s (session), rt and ct (seconds since the session began, by the
recorder and by the client), button, state, x, y. One visitor per user, one session per recording, one
event per row, in the article's shape. Recordings carry no date, so each begins on a day of its own.
The recordings are not part of this repository: their licence does not say that they may be.
"""

import json
import sys

import pyarrow.parquet as parquet

TYPES = {"Move": "pointermove", "Drag": "pointermove", "Pressed": "pointerdown", "Released": "pointerup"}
FIRST_DAY_MS = 1_700_006_400_000  # 2023-11-15T00:00:00Z
DAY_MS = 86_400_000


def main(source: str, target: str) -> None:
    rows = parquet.read_table(source).to_pydict()
    names = list(zip(rows["user"], rows["s"]))
    starts = {name: FIRST_DAY_MS + at * DAY_MS for at, name in enumerate(sorted(set(names)))}
    seen: dict = {}
    with open(target, "w", encoding="utf-8") as out:
        for (user, session), ct, button, state, x, y in zip(names, rows["ct"], rows["button"], rows["state"], rows["x"], rows["y"]):
            seq = seen.get((user, session), 0)
            seen[(user, session)] = seq + 1
            event = {
                "eventType": TYPES.get(state, "scroll" if button == "Scroll" else str(state).lower()),
                "timestamp": int(starts[(user, session)] + float(ct) * 1000),
                "path": "/recording",
                "visitorId": str(user),
                "sessionId": str(session),
                "seq": seq,
                "data": {"clientX": int(x), "clientY": int(y), "buttonName": str(button), "state": str(state)},
            }
            out.write(json.dumps(event, separators=(",", ":")) + "\n")
    print(f"{len(names)} events of {len(set(rows['user']))} visitors in {len(starts)} sessions")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
