"""The numbered reasons of the IAB's lists, each with a sentence for a person.

Lists: no-bid reasons and loss reasons of OpenRTB 3.0 / AdCOM, statuses of the community extension seat-non-bid.
Codes from 500 on belong to the exchange or bidder that uses them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Code(IntEnum):
    """A number and what it means."""

    sentence: str

    def __new__(cls, value: int, sentence: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    @classmethod
    def describe(cls, code: int) -> str:
        """The sentence of a code that came from outside, so that it may be any number."""
        known = cls._value2member_map_.get(code)
        return known.sentence if isinstance(known, cls) else f"Reason {code} of the other side's own"


class NoBidReason(Code):
    """Why a bidder did not bid: `nbr` of a response."""

    UNKNOWN = 0, "The bidder gave no reason"
    TECHNICAL_ERROR = 1, "Technical error at the bidder"
    INVALID_REQUEST = 2, "The bidder takes the request for invalid"
    KNOWN_CRAWLER = 3, "Known web crawler"
    NON_HUMAN_TRAFFIC = 4, "Suspected non-human traffic"
    PROXY_IP = 5, "Address of a cloud, data centre or proxy"
    UNSUPPORTED_DEVICE = 6, "Unsupported device"
    BLOCKED_PUBLISHER = 7, "Blocked publisher or site"
    UNMATCHED_USER = 8, "Unmatched user"
    DAILY_USER_CAP = 9, "Daily cap of the user is met"
    DAILY_DOMAIN_CAP = 10, "Daily cap of the domain is met"
    ADS_TXT_UNAVAILABLE = 11, "ads.txt authorization unavailable"
    ADS_TXT_VIOLATION = 12, "ads.txt authorization violated"
    ADS_CERT_UNAVAILABLE = 13, "ads.cert authentication unavailable"
    ADS_CERT_VIOLATION = 14, "ads.cert authentication violated"
    INSUFFICIENT_TIME = 15, "Too little time for the auction"
    INCOMPLETE_SUPPLY_CHAIN = 16, "Incomplete supply chain"
    BLOCKED_SUPPLY_CHAIN_NODE = 17, "Blocked seller in the supply chain"


class LossReason(Code):
    """Why a bid did not win: `${AUCTION_LOSS}` of a loss notice."""

    WON = 0, "The bid won"
    INTERNAL_ERROR = 1, "Internal error"
    OPPORTUNITY_EXPIRED = 2, "The impression opportunity expired"
    INVALID_RESPONSE = 3, "Invalid bid response"
    INVALID_DEAL_ID = 4, "Invalid deal id"
    INVALID_AUCTION_ID = 5, "Invalid auction id"
    INVALID_ADVERTISER_DOMAIN = 6, "Invalid or malformed advertiser domain"
    MISSING_MARKUP = 7, "Missing markup"
    MISSING_CREATIVE_ID = 8, "Missing creative id"
    MISSING_PRICE = 9, "Missing bid price"
    MISSING_APPROVAL_DATA = 10, "Missing data needed to approve the creative"
    BELOW_FLOOR = 100, "The bid was below the auction's floor"
    BELOW_DEAL_FLOOR = 101, "The bid was below the deal's floor"
    LOST_TO_HIGHER_BID = 102, "Lost to a higher bid"
    LOST_TO_DEAL = 103, "Lost to a bid for a deal"
    SEAT_BLOCKED = 104, "The buyer's seat is blocked"
    CREATIVE_REFUSED = 200, "The creative was refused, for no stated reason"
    CREATIVE_PENDING = 201, "The creative is waiting for approval"
    CREATIVE_DISAPPROVED = 202, "The creative was disapproved"
    CREATIVE_SIZE = 203, "The creative's size is not allowed"
    CREATIVE_FORMAT = 204, "The creative's format is wrong"
    ADVERTISER_EXCLUDED = 205, "The advertiser is excluded"
    APP_EXCLUDED = 206, "The advertised app is excluded"
    CREATIVE_NOT_SECURE = 207, "The creative is not secure"
    LANGUAGE_EXCLUDED = 208, "The creative's language is excluded"
    CATEGORY_EXCLUDED = 209, "The creative's category is excluded"
    ATTRIBUTE_EXCLUDED = 210, "The creative's attribute is excluded"
    AD_TYPE_EXCLUDED = 211, "The ad type is excluded"
    ANIMATION_TOO_LONG = 212, "The creative's animation is too long"
    NOT_ALLOWED_IN_DEAL = 213, "The creative is not allowed in the deal"
    INVALID_SKADN = 214, "Invalid SKAdNetwork response"
    APP_BUNDLE = 215, "The creative's app bundle is not allowed"
    NO_BUDGET = 500, "The campaign's budget or frequency cap has no room"
    PACED = 501, "The campaign is held back by its pacing"


class NonBidStatus(Code):
    """Why a seat is not in the ranking: `statuscode` of seat-non-bid; 0 to 17 are the NoBidReasons."""

    NO_BID = 0, "The bidder did not bid"
    ERROR = 100, "The bidder failed"
    TIMEOUT = 101, "The bidder did not answer in time"
    INVALID_RESPONSE = 102, "The bidder's answer is not a valid bid response"
    UNREACHABLE = 103, "The bidder could not be reached"
    REQUEST_BLOCKED = 200, "The bidder was not asked"
    CHANNEL_UNSUPPORTED = 201, "Not asked: the bidder does not buy in this channel"
    MEDIA_TYPE_UNSUPPORTED = 202, "Not asked: the bidder buys none of the media types"
    OPTIMIZED = 203, "Not asked: its chance or its remaining time was too small"
    PRIVACY = 204, "Not asked, for reasons of privacy"
    REJECTED = 300, "The bid was rejected"
    BELOW_FLOOR = 301, "The bid was below the floor"
    DUPLICATE = 302, "The bid was a duplicate"
    CATEGORY_MAPPING = 303, "The bid's category could not be mapped"
    BELOW_DEAL_FLOOR = 304, "The bid was below the deal's floor"
    INVALID_CREATIVE = 350, "The creative is invalid"
    CREATIVE_SIZE = 351, "The creative's size is not allowed"
    CREATIVE_NOT_SECURE = 352, "The creative is not secure"
    CREATIVE_FORMAT = 353, "The creative's format is wrong"
    CREATIVE_MALWARE = 354, "The creative carries malware"
    ADVERTISER_EXCLUDED = 355, "The advertiser is excluded"
    ADVERTISER_BLOCKED = 356, "The advertiser is blocked"
    CATEGORY_EXCLUDED = 357, "The creative's category is excluded"
