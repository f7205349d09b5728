"""Loads records into a feed from a CSV file or from a Postgres table, streamed: neither is held in memory.

    python examples/load_feed.py --url http://127.0.0.1:8080 --client winter --key-file key.txt csv people.csv
    python examples/load_feed.py … --name people-2026-11-21 postgres postgresql://reader@db/crm crm.people

One column is the record's key, the others are its value; a text in the column `segments` is a list, split at blanks.
With a name, a load that was cut off goes on where it was when the same is run again. A table is named as SQL does.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg

ROWS_AT_A_TIME = 1_000
DECIDED = {"published", "failed", "superseded"}
FAILURES = (aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError)
"""A ValueError is a file that is not UTF-8, or an answer that is not JSON, of a proxy for example."""

Row = dict[str, Any]


async def rows_of_csv(path: Path) -> AsyncIterator[Row]:
    """The first line names the columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:  # Excel puts a byte order mark in front
        for row in csv.DictReader(file):
            yield row


async def rows_of_table(postgres_url: str, table: str, key_column: str) -> AsyncIterator[Row]:
    """As they stood when the reading began, whatever is written meanwhile; in the same order each time."""
    connection = await asyncpg.connect(postgres_url)
    try:
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            query = await connection.fetchval(
                "SELECT format('SELECT * FROM %s ORDER BY %I', $1::text::regclass, $2::text)", table, key_column
            )
            async for row in connection.cursor(query, prefetch=ROWS_AT_A_TIME):
                yield dict(row)
    finally:
        await connection.close()


async def with_keys(rows: AsyncIterator[Row], key_column: str) -> AsyncIterator[tuple[str, Row]]:
    """The rest of each row behind its key; a row without one is told and passed over. Raises SystemExit."""
    number = 0
    async for row in rows:
        number += 1
        if key_column not in row:
            raise SystemExit(f"there is no column {key_column!r}, but {', '.join(map(str, row))}")
        key = row.pop(key_column)
        if key is None or key == "":
            print(f"row {number} has no key and is not sent", file=sys.stderr)
        else:
            yield str(key), row


async def begun(rows: AsyncIterator[tuple[str, Row]]) -> AsyncIterator[tuple[str, Row]]:
    """The same, once the first one is there: what is wrong from the beginning is found before anything is sent."""
    first = await anext(rows, None)

    async def all_of_them() -> AsyncIterator[tuple[str, Row]]:
        if first is not None:
            yield first
        async for row in rows:
            yield row

    return all_of_them()


async def lines_of(rows: AsyncIterator[tuple[str, Row]]) -> AsyncIterator[bytes]:
    """NDJSON, many records at a time."""
    lines: list[str] = []
    async for key, row in rows:
        if isinstance(row.get("segments"), str):
            row["segments"] = row["segments"].split()
        lines.append(json.dumps({"key": key, "value": row}, default=str))
        if len(lines) == ROWS_AT_A_TIME:
            yield "\n".join([*lines, ""]).encode()
            lines.clear()
    yield "\n".join([*lines, ""]).encode()


async def load(http: aiohttp.ClientSession, options: argparse.Namespace, lines: AsyncIterator[bytes]) -> Row:
    """Sends them and waits for the decision; the run as `GET /v1/feeds/{client}/runs/{id}` tells it."""
    path = f"/v1/feeds/{quote(options.client, safe='')}"
    headers = {"Content-Type": "application/x-ndjson"}
    if options.name is not None:
        headers["Idempotency-Key"] = options.name
    async with http.post(f"{path}/bulk", params={"mode": options.mode}, data=lines, headers=headers) as response:
        received = await response.json(content_type=None)
        if response.status != 202:
            raise SystemExit(f"{response.status}: {received}")
    for each in received["errors"]:
        print(f"line {each['line']}: {each['reason']}")
    run: Row = {"status": "receiving"}
    while run["status"] not in DECIDED:
        await asyncio.sleep(0.5)
        async with http.get(f"{path}/runs/{received['run_id']}") as response:
            if response.status != 503:  # it cannot be told yet
                response.raise_for_status()
                run = await response.json()
    return run


async def main(options: argparse.Namespace) -> None:
    """Raises SystemExit where the load was not published."""
    if options.source == "csv":
        rows = rows_of_csv(options.file)
    else:
        rows = rows_of_table(options.postgres_url, options.table, options.key_column)
    began = time.monotonic()
    key = options.key_file.read_text().strip()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(options.url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout) as http:
        try:
            run = await load(http, options, lines_of(await begun(with_keys(rows, options.key_column))))
        except FAILURES as error:
            raise SystemExit(f"cannot load it: {error.__cause__ or error}") from error
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
    parser.add_argument("--name", help="of the load: with the same one it goes on where it was cut off")
    parser.add_argument("--key-column", default="id", help="whose values are the records' keys")
    sources = parser.add_subparsers(dest="source", required=True)
    sources.add_parser("csv").add_argument("file", type=Path)
    table = sources.add_parser("postgres")
    table.add_argument("postgres_url")
    table.add_argument("table")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
