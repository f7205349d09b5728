"""Every error is a problem with a stable type that leads to an explanation."""

from __future__ import annotations

from typing import Any

import pytest

from api.problems import KINDS, ProblemRaised, problem_of
from domain import errors
from tests.api.running_api import RunningApi


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing/here", 404, None),
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/schema/nothing", 404, None),
        ("GET", "/schema/nothing.json", 404, None),
        ("GET", "/dashboard/page.py", 404, None),
        ("GET", "/dashboard/..%2Fapp.py", 404, None),
        ("GET", "/problems/nothing", 404, None),
        ("DELETE", "/livez", 405, "GET"),
        ("PUT", "/v1/bidders", 405, "POST"),
        ("POST", "/", 405, "GET"),
    ],
)
async def test_what_no_route_answers(
    empty_api: RunningApi, method: str, path: str, status: int, allow: str | None
) -> None:
    """An unknown route and a wrong method are problems like any other."""
    async with empty_api.http.request(method, path, headers=empty_api.authorized) as response:
        problem: dict[str, Any] = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"]) == (status, status)
    assert problem["type"].startswith("/problems/")
    if allow is not None:
        assert allow in response.headers["Allow"]


@pytest.mark.parametrize("name", KINDS)
async def test_a_problems_type_leads_to_its_meaning(empty_api: RunningApi, name: str) -> None:
    """Whoever follows a type's address reads what it is."""
    async with empty_api.http.get(f"/problems/{name}") as response:
        explained = await response.json()
    assert (response.status, explained["name"]) == (200, name)
    assert explained["meaning"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidInput([errors.Fault("a", "b")]), 400, "invalid-input"),
        (errors.InvalidToken(), 400, "invalid-token"),
        (errors.NotFound("no such thing"), 404, "not-found"),
        (errors.Conflict(), 409, "conflict"),
        (errors.LogUnavailable(), 503, "unavailable"),
        (errors.Unavailable(), 503, "unavailable"),
        (errors.Overloaded(), 503, "overloaded"),
        (ProblemRaised("not-acceptable"), 406, "not-acceptable"),
    ],
)
def test_the_errors_of_the_rules(error: Exception, status: int, kind: str) -> None:
    """Each error of the domain has its own status and type; those that pass say when to come again."""
    answer = problem_of(error)
    assert answer.status == status
    assert f'"/problems/{kind}"'.encode() in answer.body
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_mistake_is_not_told_to_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody expected is logged, and answered without a word of it."""
    answer = problem_of(RuntimeError("the password is hunter2"))
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    logged = capsys.readouterr()
    assert "hunter2" in logged.out + logged.err
