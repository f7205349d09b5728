"""Views that an operator has built on a read model, whose columns another version changes: named, and not dropped."""

from __future__ import annotations

import uuid

import pytest

from projections import operations
from projections.swap import NotReady
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually
from tests.projections.test_generations import statuses
from tests.projections.traffic import Traffic

A_COLUMN_LESS = (
    "DROP VIEW delivery_lines",
    "CREATE VIEW delivery_lines AS SELECT *, 1 AS of_before FROM delivery_g1.delivery_lines",
    "CREATE VIEW report_of_mine AS SELECT of_before FROM delivery_lines",
    "UPDATE projection_generations SET layout = 'of before' WHERE projection = 'delivery'",
)


async def test_views_of_others_are_in_the_way(read_side: ReadSide) -> None:
    """The swap waits and says for what; once its owner has dropped the view, it happens by itself."""
    await read_side.log.append_traffic(Traffic(1), 20)
    await read_side.run_to_the_end("delivery")
    for statement in A_COLUMN_LESS:
        await read_side.fetch(statement)

    async def is_said() -> bool:
        rows = await read_side.fetch("SELECT waits_because FROM projection_generations WHERE projection = 'delivery'")
        return any("view report_of_mine depends on view delivery_lines" in (row[0] or "") for row in rows)

    async def is_swapped() -> bool:
        return await statuses(read_side) == {1: "previous", 2: "active"}

    async with read_side.running("delivery"):
        await eventually(is_said)
        assert await statuses(read_side) == {1: "active", 2: "ready"}
        with pytest.raises(NotReady, match="drop them, and make them again"):
            await operations.swap(read_side.addresses, "delivery")
        await read_side.fetch("DROP VIEW report_of_mine")
        await eventually(is_swapped)
    assert await audit.delivery_in(read_side) == audit.delivery_of(await audit.logged(read_side))


async def test_rights_on_a_view_survive_another_layout(read_side: ReadSide) -> None:
    """Whoever was allowed to read a view before its columns changed is allowed to afterwards."""
    await read_side.log.append_traffic(Traffic(1), 20)
    await read_side.run_to_the_end("delivery")
    role = f"analyst_{uuid.uuid4().hex}"
    before, without, _, layout = A_COLUMN_LESS
    for statement in (f"CREATE ROLE {role}", before, without, f"GRANT SELECT ON delivery_lines TO {role}", layout):
        await read_side.fetch(statement)

    async def is_swapped() -> bool:
        return await statuses(read_side) == {1: "previous", 2: "active"}

    try:
        async with read_side.running("delivery"):
            await eventually(is_swapped)
        (allowed,) = await read_side.fetch("SELECT has_table_privilege($1, 'delivery_lines', 'SELECT')", role)
        assert allowed[0]
    finally:
        await read_side.fetch(f"DROP OWNED BY {role}")
        await read_side.fetch(f"DROP ROLE {role}")
