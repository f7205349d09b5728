"""The names that processes agree on: topics, consumer groups, Redis keys and channels.

One namespace per installation keeps several of them apart on shared servers.
"""

from __future__ import annotations

import msgspec

TOPICS = ("auctions", "engagements", "catalogue", "feeds.bulk", "feeds.changes")
KEYED_BY_AUCTION = ("auctions", "engagements")
"""Same key and same number of partitions, so an auction has the same partition in both."""

_PROGRESS = ("offsets", "parked", "clients")
_OF_A_FEED_CLIENT = ("state", "runs", "changed", "tombstones", "audit", "sources", "started")


class Names(msgspec.Struct, frozen=True):
    """All shared names of one installation."""

    namespace: str = "gavel"

    @property
    def auctions(self) -> str:
        return f"{self.namespace}.auctions"

    @property
    def engagements(self) -> str:
        return f"{self.namespace}.engagements"

    @property
    def catalogue(self) -> str:
        return f"{self.namespace}.catalogue"

    @property
    def feeds_bulk(self) -> str:
        return f"{self.namespace}.feeds.bulk"

    @property
    def feeds_changes(self) -> str:
        return f"{self.namespace}.feeds.changes"

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(f"{self.namespace}.{topic}" for topic in TOPICS)

    def group(self, projection: str, generation: int | str | None = None) -> str:
        """Consumer group of a projection, or of one generation of it."""
        group = f"{self.namespace}.projection.{projection}"
        return group if generation is None else f"{group}.g{generation}"

    # -- Redis: the braces are the hash tag that keeps a key's parts on one slot of a cluster ------

    def ranking_key(self, auction_id: str, imp_id: str) -> str:
        return f"{self.namespace}:rank:{{{auction_id}}}:{imp_id}"

    def engagement_key(self, kind: str, auction_id: str, imp_id: str) -> str:
        return f"{self.namespace}:seen:{{{auction_id}}}:{imp_id}:{kind}"

    def quota_key(self, bidder_id: str, second: int) -> str:
        return f"{self.namespace}:quota:{{{bidder_id}}}:{second}"

    def rate_key(self, what: str, hidden_address: str, minute: int) -> str:
        return f"{self.namespace}:rate:{what}:{{{hidden_address}}}:{minute}"

    def idempotency_key(self, key: str) -> str:
        """Hash: what is known of the command that was sent with an `Idempotency-Key`."""
        return f"{self.namespace}:idempotency:{{{key}}}"

    @property
    def catalogue_entities(self) -> str:
        """Hash: 'bidder:<id>' to the entity's JSON."""
        return f"{self.namespace}:{{catalogue}}:entities"

    @property
    def catalogue_offsets(self) -> str:
        """Hash: partition of the catalogue topic to the next offset to apply; and the state of the projection."""
        return f"{self.namespace}:{{catalogue}}:offsets"

    @property
    def catalogue_parked(self) -> str:
        """Set: the keys of the catalogue topic whose events wait behind a dead letter."""
        return f"{self.namespace}:{{catalogue}}:parked"

    @property
    def catalogue_channel(self) -> str:
        """Pub/sub: a JSON list of the fields of `catalogue_entities` that have changed."""
        return f"{self.namespace}:{{catalogue}}:changed"

    @property
    def budget_offsets(self) -> str:
        """Hash: partition of auctions and engagements to the next offset to apply; what is known of the accounts."""
        return f"{self.namespace}:{{budgets}}:offsets"

    @property
    def budget_parked(self) -> str:
        """Set: partition and key of the events that wait behind a dead letter."""
        return f"{self.namespace}:{{budgets}}:parked"

    @property
    def budget_data(self) -> tuple[str, ...]:
        """Campaigns' accounts, what they hold, until when, and which have changed: see `domain/budget_account.py`."""
        return tuple(f"{self.namespace}:{{budgets}}:{part}" for part in ("accounts", "held", "ends", "changed"))

    @property
    def budget_keys(self) -> tuple[str, ...]:
        """All of these, in the order that the scripts about budgets take them."""
        return (self.budget_offsets, self.budget_parked, *self.budget_data)

    def feed_progress(self, topic: str) -> tuple[str, str, str]:
        """Of 'bulk' or 'changes': hash of offsets and state, set of parked keys, hash of feed clients' positions."""
        offsets, parked, clients = (f"{self.namespace}:{{feeds}}:{topic}:{part}" for part in _PROGRESS)
        return offsets, parked, clients

    def feed_keys(self, client: str) -> tuple[str, ...]:
        """What its scripts take, all on one slot: see `projections/feed_script.py`, which names the records' hashes."""
        return tuple(f"{self.namespace}:feed:{{{client}}}:{part}" for part in _OF_A_FEED_CLIENT)

    def feed_records(self, client: str, since: str) -> str:
        """Hash: key to the record of a bulk load of that place among the changes."""
        return f"{self.namespace}:feed:{{{client}}}:records:{since}"

    def feed_state(self, client: str) -> str:
        """Hash: a feed client's positions, active namespace and open run."""
        return self.feed_keys(client)[0]

    def feed_runs(self, client: str) -> str:
        """Hash: id of a bulk load to its figures."""
        return self.feed_keys(client)[1]

    def feed_changed(self, client: str) -> str:
        """Hash: key to the record that a change has put there last."""
        return self.feed_keys(client)[2]

    def feed_sources(self, client: str) -> str:
        """Hash: name of a source of changes to how far it is: see `projections/feed_script.py`."""
        return self.feed_keys(client)[5]

    def feed_started(self, client: str) -> str:
        """Sorted set: ids of loads that were started and have not brought a record, by their place."""
        return self.feed_keys(client)[6]

    def feed_audit(self, client: str) -> str:
        """List: audit rows that are not yet in Postgres, the oldest first."""
        return f"{self.namespace}:feed:{{{client}}}:audit"

    @property
    def live_leader(self) -> str:
        """Which process publishes the live figures, for as long as the key lives."""
        return f"{self.namespace}:live:leader"

    @property
    def live_channel(self) -> str:
        """Pub/sub: one JSON object of figures a second."""
        return f"{self.namespace}:live"
