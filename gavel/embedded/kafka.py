"""A real Apache Kafka broker in KRaft mode: broker and controller in one process, one or three of them."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from gavel.child import Program
from gavel.embedded.folder import DataFolder
from gavel.embedded.java import Java
from gavel.embedded.ports import HOST
from gavel.embedded.server import NotReady, Server

RECORD_MAX_BYTES = 8 * 1024 * 1024
"""Of one batch of records: the events of an auction with many imps and long markups fit."""
STOP_SECONDS = 20.0
PROBE_TIMEOUT_MS = 2_000
JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:TieredStopAtLevel=1",  # starts faster and needs less memory than a fully optimised broker
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",  # the supervisor starts it again; a broker without memory only pretends to run
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


class Node(msgspec.Struct, frozen=True):
    """One broker's place in the cluster."""

    id: int
    port: int
    controller_port: int


class Broker(Server):
    """One broker of the cluster that `nodes` describes."""

    def __init__(self, node: Node, nodes: Sequence[Node], folder: DataFolder, java: Java, jars: Sequence[Path]) -> None:
        super().__init__(f"kafka-{node.id}", folder)
        self._node = node
        self._nodes = nodes
        self._java = java
        self._jars = jars
        self._data = self.home / "log"
        self._properties = self.home / "server.properties"

    @property
    def label(self) -> str:
        return f"Apache Kafka 4.3.1 on {self._java.label}"

    @property
    def address(self) -> str:
        return f"{HOST}:{self._node.port}"

    async def prepare(self) -> None:
        self._properties.write_text(_text(properties(self._node, self._nodes, self._data)))
        if not self._data.exists():
            await self._format()

    def program(self) -> Program:
        return self._java_program("kafka.Kafka", str(self._properties))

    async def probe(self) -> None:
        """Ready once the broker's own metadata name it: then it is registered and unfenced."""
        _, writer = await asyncio.open_connection(HOST, self._node.port)
        writer.close()
        await writer.wait_closed()
        client = AIOKafkaClient(bootstrap_servers=self.address, request_timeout_ms=PROBE_TIMEOUT_MS)
        try:
            await client.bootstrap()
            if self._node.id not in {broker.nodeId for broker in client.cluster.brokers()}:
                raise NotReady
        except KafkaError as error:
            raise NotReady from error
        finally:
            await client.close()

    async def _format(self) -> None:
        """Formats beside the final place, so that a start cut short leaves no half-formatted log."""
        unfinished = self.home / "log.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        draft = self.home / "format.properties"
        draft.write_text(_text(properties(self._node, self._nodes, unfinished)))
        cluster = self.folder.record.cluster_id
        assert cluster is not None
        await self.run_to_end(
            self._java_program("kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(draft))
        )
        unfinished.rename(self._data)
        draft.unlink()

    def _java_program(self, main_class: str, *arguments: str) -> Program:
        classpath = ":".join(str(jar) for jar in self._jars)
        return Program(
            name=self.name,
            command=(str(self._java.executable), *JVM_OPTIONS, "-cp", classpath, main_class, *arguments),
            folder=self.home,
            log=self.log,
            stop_seconds=STOP_SECONDS,
        )


def new_cluster_id() -> str:
    """16 random bytes in base64, as Kafka makes them: a leading dash would be taken for an option."""
    while (cluster_id := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return cluster_id


def properties(node: Node, nodes: Sequence[Node], data: Path) -> Mapping[str, object]:
    """The broker's configuration. With three brokers, two must have a record before it is acknowledged."""
    copies = min(3, len(nodes))
    return {
        "node.id": node.id,
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": ",".join(f"{other.id}@{HOST}:{other.controller_port}" for other in nodes),
        "log.dirs": data,
        # The log is the source of truth: nothing in it ever expires.
        "log.retention.ms": -1,
        "log.retention.bytes": -1,
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": max(1, copies - 1),
        "message.max.bytes": RECORD_MAX_BYTES,
        "replica.fetch.max.bytes": RECORD_MAX_BYTES,
        # A killed broker is taken for alive for so long, and not let in again before: by default nine seconds.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "share.coordinator.state.topic.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": max(1, copies - 1),
    }


def _text(values: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
