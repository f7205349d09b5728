"""Durations, protocols, frameworks and the slots of ad pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.bid_rules.judging import HTML, VAST, assert_admitted, assert_refused, on_imp, verdict

LONG = VAST.replace("<Creatives/>", "<Creatives><Linear><Duration>00:01:30.500</Duration></Linear></Creatives>")
POD = LONG.replace("</Ad>", "</Ad><Ad><InLine><Duration>00:00:10</Duration></InLine></Ad>")


@pytest.mark.parametrize("media_type", ["video", "audio"])
@pytest.mark.parametrize(
    ("offer", "bid", "words"),
    [
        ({"minduration": 10}, {"dur": 9}, ("9 seconds", "10", "minduration")),
        ({"maxduration": 30}, {"dur": 31}, ("31 seconds", "30", "maxduration")),
        ({"maxduration": 30, "maxextended": 5}, {"dur": 36}, ("36 seconds", "35", "maxduration")),
        ({"rqddurs": [15, 30]}, {"dur": 20}, ("20 seconds", "15 or 30", "rqddurs")),
        ({"poddur": 60}, {"dur": 61}, ("61 seconds", "60", "poddur")),
        ({"maxduration": 60}, {"adm": LONG}, ("90 seconds", "60", "maxduration")),
        ({"maxduration": 60}, {"adm": LONG, "dur": 60}, ("90 seconds", "60", "maxduration")),
        ({"maxduration": 60}, {"adm": LONG, "dur": 0}, ("90 seconds", "60", "maxduration")),
        ({"maxduration": 60}, {"adm": POD, "dur": 60}, ("90 seconds", "60", "maxduration")),
        ({"protocols": [2, 3]}, {"protocol": 7}, ("protocol is 7", "2 or 3", "protocols")),
        ({"api": [7]}, {"apis": [1, 2]}, ("1 or 2", "7", "api")),
        ({"api": [7]}, {"api": 2}, ("2", "7", "api")),
    ],
)
def test_what_the_player_does_not_take(
    media_type: str, offer: dict[str, Any], bid: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Refused as of the wrong format, naming the limit."""
    assert_refused(verdict({"adm": VAST, **bid}, on=on_imp(media_type, **offer)), 204, *words)


@pytest.mark.parametrize(
    ("offer", "bid"),
    [
        ({"minduration": 10, "maxduration": 30}, {"dur": 10}),
        ({"minduration": 10, "maxduration": 30}, {"dur": 30}),
        ({"maxduration": 30, "maxextended": 5}, {"dur": 35}),
        ({"maxduration": 30, "maxextended": -1}, {"dur": 300}),
        ({"rqddurs": [15, 30]}, {"dur": 30}),
        ({"rqddurs": [15, 30]}, {}),
        ({"maxduration": 60}, {"adm": POD}),
        ({"maxduration": 90}, {"adm": LONG}),
        ({"maxduration": 90}, {"adm": LONG, "dur": 60}),
        ({"minduration": 10}, {"dur": 0}),
        ({"minduration": 10}, {"dur": -30}),
        ({"maxduration": 60}, {"adm": f"{VAST}<Duration>", "dur": 30}),
        ({"protocols": [2, 3]}, {"protocol": 3}),
        ({"protocols": [2, 3]}, {}),
        ({}, {"protocol": 7}),
        ({"api": [2, 7]}, {"apis": [1, 2]}),
        ({"api": [2]}, {"apis": [7]}),
        ({}, {"apis": [1]}),
    ],
)
def test_what_the_player_takes(offer: dict[str, Any], bid: dict[str, Any]) -> None:
    """Within the limits, or nothing is known that speaks against it; a duration of nothing says nothing."""
    assert_admitted(verdict({"adm": VAST, **bid}, on=on_imp("video", **offer)))


def test_a_banner_has_frameworks_too() -> None:
    """An MRAID ad is not for a page without MRAID."""
    assert_refused(verdict({"adm": HTML, "apis": [3, 5]}, on=on_imp("banner", api=[7])), 204, "3 or 5", "api")


@pytest.mark.parametrize(
    ("asked", "promised", "is_fine"),
    [
        (0, 0, True),
        (0, 1, True),
        (1, 1, True),
        (1, 0, False),
        (1, 2, False),
        (-1, -1, True),
        (2, -1, True),
        (2, 0, False),
    ],
)
def test_a_slot_of_a_pod(asked: int, promised: int, is_fine: bool) -> None:
    """A bid for the first or the last slot needs an imp that promises it."""
    judged = verdict({"adm": VAST, "slotinpod": asked}, on=on_imp("video", slotinpod=promised, podid="pod"))
    if is_fine:
        assert_admitted(judged)
    else:
        assert_refused(judged, 3, "slotinpod")
