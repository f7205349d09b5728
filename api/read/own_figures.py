"""Of a report, a tenant gets the figures that are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.access import Tenant
from domain.errors import NotFound

Filters = Mapping[str, Sequence[str]]
"""Names of dimensions, and the values to be reported on."""


def own_figures(filters: Filters, tenant: Tenant | None) -> Filters:
    """The filters with the tenant's own among them; None: as they are.

    A role is the name of its dimension. Raises NotFound for a filter that names another of its kind.
    """
    if tenant is None:
        return filters
    for other in filters.get(tenant.role, ()):
        if other != tenant.subject_id:
            raise NotFound(f"There is no {tenant.role} {other!r}.")
    return {**filters, tenant.role: [tenant.subject_id]}
