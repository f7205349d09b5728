"""The bid request that a bidder is tried with where its owner has no better one: a page with a banner and a video."""

from __future__ import annotations

import msgspec

SAMPLE_TMAX_MS = 300
_BANNER = {"format": [{"w": 300, "h": 250}, {"w": 336, "h": 280}], "pos": 1}
_VIDEO = {
    "mimes": ["video/mp4"],
    "minduration": 5,
    "maxduration": 30,
    "protocols": [2, 3, 5, 6, 7, 8],
    "w": 640,
    "h": 360,
    "plcmt": 1,
    "linearity": 1,
}
_SITE = {
    "id": "sample-site",
    "domain": "news.example",
    "page": "https://news.example/today",
    "publisher": {"id": "sample-publisher", "name": "Example News"},
}
_DEVICE = {
    "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "ip": "203.0.113.7",
    "geo": {"country": "USA"},
    "devicetype": 2,
    "language": "en",
}


def sample_request(request_id: str) -> bytes:
    """An OpenRTB 2.6 request with `test` 1, so that nobody is billed for what comes of it."""
    return msgspec.json.encode(
        {
            "id": request_id,
            "imp": [
                {"id": "banner", "banner": _BANNER, "bidfloor": 0.1, "bidfloorcur": "USD", "secure": 1},
                {"id": "video", "video": _VIDEO, "bidfloor": 0.5, "bidfloorcur": "USD", "secure": 1},
            ],
            "site": _SITE,
            "device": _DEVICE,
            "user": {"id": "sample-person"},
            "test": 1,
            "at": 1,
            "tmax": SAMPLE_TMAX_MS,
            "cur": ["USD"],
        }
    )
