"""Whose ads the exchange's own campaigns bid with."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.queries.story_parts import CampaignOfBid
from projections.tables import entities


class _Terms(msgspec.Struct):
    name: str
    advertiser_id: str


_decode = msgspec.json.Decoder(_Terms).decode


async def campaigns_of_ads(connection: AsyncConnection, ad_ids: Iterable[str]) -> dict[str, CampaignOfBid]:
    """By ad; ads that the catalogue does not know (yet) are not in it."""
    wanted = sorted(set(ad_ids))
    if not wanted:
        return {}
    ads, campaigns = entities.alias("ads"), entities.alias("campaigns")
    query = (
        select(ads.c.id, campaigns.c.id, campaigns.c.terms)
        .join(campaigns, campaigns.c.id == ads.c.owner_id)
        .where(ads.c.id.in_(wanted), ads.c.kind == "ad", campaigns.c.kind == "campaign")
    )
    found = {}
    for ad_id, campaign_id, text in await connection.execute(query):
        terms = _decode(text)
        found[ad_id] = CampaignOfBid(
            advertiser_id=terms.advertiser_id, campaign_id=campaign_id, campaign=terms.name, ad_id=ad_id
        )
    return found
