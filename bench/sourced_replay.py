"""The `eventsourcing` library replays its application into an empty view: its own runner, until all is counted.

Run as `python -m bench.sourced_replay PLAN`; prints a `Cost` as JSON.
What is measured begins with the runner, which makes its tables and subscribes, and ends with the commit of the last
event. Events of types that nobody counts are among the operations, as they are of `bench.replay`: neither decodes them.
"""

from __future__ import annotations

import sys
from time import perf_counter, process_time

import msgspec
import psycopg
from eventsourcing.projection import ProjectionRunner

from bench.cost import Cost
from bench.peers.sourced_delivery import TABLE, DeliveryView, SourcedAuctions, SourcedDelivery, environment
from bench.replay import POLL_SECONDS, print_cost


class SourcedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the application was filled, and with how much."""

    postgres_url: str
    events: int
    last: int
    """Number of the last event that is counted."""


def replay(plan: SourcedPlan) -> Cost:
    """Counts everything anew. Raises what the runner's thread raised."""
    with psycopg.connect(plan.postgres_url) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}, {TABLE}_tracking")
    wall, cpu = perf_counter(), process_time()
    with ProjectionRunner(
        application_class=SourcedAuctions,
        projection_class=SourcedDelivery,
        view_class=DeliveryView,
        env=environment(plan.postgres_url),
    ) as runner:
        while runner.view.reached < plan.last:  # `runner.wait` asks the database, and sleeps for up to 800 ms
            runner.run_forever(timeout=POLL_SECONDS)
        return Cost(plan.events, process_time() - cpu, perf_counter() - wall)


if __name__ == "__main__":
    print_cost(replay(msgspec.json.decode(sys.argv[1], type=SourcedPlan)))
