"""Loads records into a feed from a CSV file or from a Postgres table, streamed: neither is held in memory.

    python examples/load_feed.py --url http://127.0.0.1:8080 --client winter --key-file key.txt csv people.csv
    python examples/load_feed.py … postgres postgresql://reader@db/crm people

One column is the record's key, the others are its value; a column named `segments` is a list, split at blanks.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg

ROWS_AT_A_TIME = 1_000
DECIDED = {"published", "failed", "superseded"}

Row = dict[str, Any]


async def rows_of_csv(path: Path) -> AsyncIterator[Row]:
    """The first line names the columns."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield row


async def rows_of_table(postgres_url: str, table: str) -> AsyncIterator[Row]:
    """As they stood when the reading began, whatever is written meanwhile."""
    connection = await asyncpg.connect(postgres_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            name = await connection.fetchval("SELECT format('%I', $1::text)", table)
            async for row in connection.cursor(f"SELECT * FROM {name}", prefetch=ROWS_AT_A_TIME):
                yield dict(row)
    finally:
        await connection.close()


async def lines_of(rows: AsyncIterator[Row], key_column: str) -> AsyncIterator[bytes]:
    """NDJSON, many records at a time."""
    lines: list[str] = []
    async for row in rows:
        key = row.pop(key_column)
        if isinstance(row.get("segments"), str):
            row["segments"] = row["segments"].split()
        lines.append(json.dumps({"key": str(key), "value": row}, default=str))
        if len(lines) == ROWS_AT_A_TIME:
            yield "\n".join([*lines, ""]).encode()
            lines.clear()
    yield "\n".join([*lines, ""]).encode()


async def load(http: aiohttp.ClientSession, client: str, mode: str, lines: AsyncIterator[bytes]) -> Row:
    """Sends them and waits for the decision; the run as `GET /v1/feeds/{client}/runs/{id}` tells it."""
    path = f"/v1/feeds/{quote(client, safe='')}"
    headers = {"Content-Type": "application/x-ndjson"}
    async with http.post(f"{path}/bulk", params={"mode": mode}, data=lines, headers=headers) as response:
        received = await response.json(content_type=None)
        if response.status != 202:
            raise SystemExit(f"{response.status}: {received}")
    for each in received["errors"]:
        print(f"line {each['line']}: {each['reason']}")
    run: Row = {"status": "receiving"}
    while run["status"] not in DECIDED:
        await asyncio.sleep(0.5)
        async with http.get(f"{path}/runs/{received['run_id']}") as response:
            response.raise_for_status()
            run = await response.json()
    return run


async def main(options: argparse.Namespace) -> None:
    """Raises SystemExit where the load was not published."""
    is_csv = options.source == "csv"
    rows = rows_of_csv(options.file) if is_csv else rows_of_table(options.postgres_url, options.table)
    began = time.monotonic()
    key = options.key_file.read_text().strip()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(options.url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout) as http:
        run = await load(http, options.client, options.mode, lines_of(rows, options.key_column))
    print(f"{run['status']}: {run['applied']} records in {time.monotonic() - began:.1f} s {run.get('reason', '')}")
    if run["status"] != "published":
        raise SystemExit(1)


def options() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of the exchange")
    parser.add_argument("--client", required=True, help="name of the feed client")
    parser.add_argument("--key-file", required=True, type=Path, help="file with an access key of the feed client")
    parser.add_argument("--mode", choices=["merge", "replace"], default="merge")
    parser.add_argument("--key-column", default="id", help="whose values are the records' keys")
    sources = parser.add_subparsers(dest="source", required=True)
    sources.add_parser("csv").add_argument("file", type=Path)
    table = sources.add_parser("postgres")
    table.add_argument("postgres_url")
    table.add_argument("table")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
