"""The read side of the tests of projections, for those that need no servers of their own."""

from tests.projections.conftest import read_side

__all__ = ["read_side"]
