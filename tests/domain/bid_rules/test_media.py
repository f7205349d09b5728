"""A bid must bring a kind of ad that the imp takes, in markup of that kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.bid_rules.judging import (
    AUDIO,
    HTML,
    NATIVE,
    VAST,
    VIDEO,
    assert_admitted,
    assert_refused,
    on_imp,
    verdict,
)

ALL = {"id": "1", "banner": {}, "video": VIDEO, "audio": AUDIO, "native": {"request": "{}"}}
SEEN = VAST.replace("<Creatives/>", '<Creatives><MediaFile type="video/mp4"/></Creatives>')
SOUND = VAST.replace("<Creatives/>", '<Creatives><MediaFile type="audio/mpeg"/></Creatives>')


@pytest.mark.parametrize(
    ("bid", "media_type"),
    [
        ({"mtype": 1}, "banner"),
        ({"mtype": 2, "adm": VAST}, "video"),
        ({"mtype": 3, "adm": VAST}, "audio"),
        ({"mtype": 4, "adm": NATIVE}, "native"),
        ({}, "banner"),
        ({"adm": VAST}, "video"),
        ({"adm": SOUND}, "audio"),
        ({"adm": NATIVE}, "native"),
        ({"adm": None, "nurl": "https://n.example/"}, "banner"),
        ({"adm": None, "nurl": "https://n.example/", "mtype": 2}, "video"),
    ],
)
def test_the_type_is_stated_or_seen(bid: dict[str, Any], media_type: str) -> None:
    """`mtype` says it; without it the markup shows it; where nothing shows it is the first that is offered."""
    assert assert_admitted(verdict(bid, on=ALL)).media_type == media_type


def test_vast_is_heard_where_only_sound_is_offered() -> None:
    """Without `mtype` a VAST document is an audio ad for an imp that takes audio and no video."""
    assert assert_admitted(verdict({"adm": VAST}, on=on_imp("audio"))).media_type == "audio"


@pytest.mark.parametrize(
    ("offered", "bid", "words"),
    [
        ("banner", {"mtype": 2, "adm": VAST}, ("video", "banner")),
        ("banner", {"adm": VAST}, ("video", "banner")),
        ("video", {"mtype": 1}, ("banner", "video")),
        ("video", {}, ("HTML", "a VAST document")),
        ("video", {"mtype": 2}, ("HTML", "a VAST document")),
        ("audio", {"mtype": 3, "adm": NATIVE}, ("native", "a VAST document")),
        ("native", {"mtype": 4}, ("HTML", "a native ad's JSON")),
        ("native", {"adm": VAST}, ("video", "native")),
        ("banner", {"mtype": 1, "adm": VAST}, ("VAST", "HTML")),
        ("banner", {"mtype": 1, "adm": NATIVE}, ("native", "HTML")),
        ("banner", {"mtype": 7}, ("mtype", "7", "banner")),
    ],
)
def test_another_kind_of_ad(offered: str, bid: dict[str, Any], words: tuple[str, ...]) -> None:
    """Refused as of the wrong format, naming both what came and what is taken."""
    assert_refused(verdict(bid, on=on_imp(offered)), 204, *words)


@pytest.mark.parametrize(
    ("mtype", "markup", "words"),
    [
        (3, SEEN, ("audio", "plays video")),
        (3, SEEN.replace('"', "'"), ("audio", "plays video")),
        (3, SOUND + SEEN, ("audio", "plays audio or video")),
        (2, SOUND, ("video", "plays audio")),
        (2, SOUND + SEEN, None),
        (2, SEEN, None),
        (3, SOUND, None),
        (3, VAST, None),
    ],
)
def test_sound_and_video_are_told_apart(mtype: int, markup: str, words: tuple[str, ...] | None) -> None:
    """Where both are for sale, what the document plays must be what its bid says that it is."""
    judged = verdict({"mtype": mtype, "adm": markup}, on=ALL)
    if words is None:
        assert_admitted(judged)
    else:
        assert_refused(judged, 204, *words)
    assert_admitted(verdict({"mtype": mtype, "adm": markup}, on=on_imp({2: "video", 3: "audio"}[mtype])))


@pytest.mark.parametrize(
    ("btype", "markup", "is_blocked"),
    [
        ([3], "<SCRIPT src='https://s.example/'></SCRIPT>", True),
        ([4], "<iframe src='https://s.example/'></iframe>", True),
        ([1, 4], "<script></script>", False),
        ([3, 4], HTML, False),
    ],
)
def test_blocked_kinds_of_banners(btype: list[int], markup: str, is_blocked: bool) -> None:
    """A script or iframe where `btype` forbids it."""
    judged = verdict({"adm": markup}, on=on_imp("banner", btype=btype))
    if is_blocked:
        assert_refused(judged, 211, f"btype {btype[0]}")
    else:
        assert_admitted(judged)


def test_no_markup_and_no_address_for_it() -> None:
    """There is nothing to show."""
    assert_refused(verdict({"adm": None}), 7, "adm", "nurl")
