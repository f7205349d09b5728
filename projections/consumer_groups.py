"""Consumer groups in Kafka that nobody will use any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaError, NonEmptyGroup, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from domain.errors import Conflict, LogUnavailable

REQUEST_TIMEOUT_MS: Final = 10_000


async def delete_group(kafka: Mapping[str, Any], group: str) -> None:
    """Removes a group with its offsets; one that is not there is no fault.

    `kafka` are the options of a client. Raises Conflict while the group has members, and LogUnavailable.
    """
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        coordinator = await admin.find_coordinator(group)
        # The library has the request, but no method that sends it.
        answer = await admin._send_request(DeleteGroupsRequest([group]), coordinator)  # noqa: SLF001 - as said
        for _, code in answer.results:
            if code:
                raise for_code(code)(group)
    except GroupIdNotFound:
        return
    except NonEmptyGroup as used:
        raise Conflict(f"the consumer group {group} has members still") from used
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"Kafka does not remove the consumer group {group}: {error!r}") from error
    finally:
        await admin.close()
