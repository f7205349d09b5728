"""Every bound of the exchange, with its unit, in one place.

A bound exists so that nobody else's input decides how much memory or time Gavel spends.
"""

from __future__ import annotations

from typing import Final

# -- money ---------------------------------------------------------------------------------------
MICROS_PER_UNIT: Final = 1_000_000
PRICE_MAX_MICROS: Final = 1_000_000 * MICROS_PER_UNIT
"""A CPM of one million currency units: nobody pays it, so a higher price is a mistake or a lie."""
BASIS_POINTS: Final = 10_000
PRICE_INCREMENT_MICROS: Final = 10_000
"""0.01 of the auction's currency, what a second-price winner pays above the runner-up."""
NANOS_PER_MICRO: Final = 1_000
BUDGET_MAX_NANOS: Final = 1_000_000_000 * MICROS_PER_UNIT * NANOS_PER_MICRO
"""A billion currency units: a higher budget is a mistake, and with it every sum of one campaign fits into 64 bits."""
CLICK_BID_MAX_NANOS: Final = 1_000 * MICROS_PER_UNIT * NANOS_PER_MICRO
"""A thousand currency units for one click."""

# -- requests ------------------------------------------------------------------------------------
REQUEST_BODY_MAX_BYTES: Final = 256 * 1024
REQUEST_IMPS_MAX: Final = 64
REQUEST_ID_MAX_CHARS: Final = 256
REQUEST_DEPTH_MAX: Final = 32
REQUEST_LIST_MAX_ITEMS: Final = 4_096
"""Advertisers, categories, apps or seats that one list blocks or lets in."""
REQUEST_CHOICES_MAX: Final = 256
"""Of a list that says what an imp takes: formats, deals, languages, attributes, durations."""
REQUEST_FAULTS_MAX: Final = 100
"""More are not listed: who sends them has learned enough."""
AD_PARAMETERS_MAX: Final = 64
"""Of `GET /ad`, unknown ones included."""
DIMENSION_MAX_PIXELS: Final = 100_000
"""Wider than any screen."""

# -- the catalogue -------------------------------------------------------------------------------
CATALOGUE_BODY_MAX_BYTES: Final = 64 * 1024
AUCTION_CURRENCIES_CACHED_MAX: Final = 32
"""Deals are prepared once for each currency that requests ask for, and anybody may ask for any."""
CATALOGUE_ID_MAX_CHARS: Final = 64
CATALOGUE_NAME_MAX_CHARS: Final = 256
CATALOGUE_LIST_MAX_ITEMS: Final = 256
BIDDER_QPS_MAX: Final = 1_000_000
FREQUENCY_IMPRESSIONS_MAX: Final = 1_000
"""Of a frequency cap; each impression within its window is remembered."""
FREQUENCY_WINDOW_MAX_SECONDS: Final = 30 * 24 * 3_600
FLIGHT_LATE_START_MAX_SECONDS: Final = 24 * 3_600
"""A new campaign may start so long ago: at today's midnight, wherever its owner lives."""
CATALOGUE_ENTITIES_MAX: Final = 1_000_000
"""Archived ones included: every API process holds them all in memory."""
CATALOGUE_TERMS_MAX_BYTES: Final = 1024 * 1024 * 1024
CATALOGUE_OPERATORS_SHARE: Final = 10
"""The last tenth of both is for the operator alone."""
TENANT_ENTITIES_MAX: Final = 100_000
"""That a publisher or advertiser ever registered itself, archived ones included; the operator may register more."""
TENANT_TERMS_MAX_BYTES: Final = 128 * 1024 * 1024
PLACEMENTS_PER_PUBLISHER_MAX: Final = 10_000
"""Not archived, as the next two."""
CAMPAIGNS_PER_ADVERTISER_MAX: Final = 10_000
ADS_PER_CAMPAIGN_MAX: Final = 1_000
FEED_NAME_MAX_CHARS: Final = 64
FEED_TTL_MAX_SECONDS: Final = 10 * 365 * 24 * 3_600
CATALOGUE_READ_MAX_SECONDS: Final = 5
"""A command waits no longer for the log to give something, on the way to its head."""
COMMANDS_REMEMBERED_MAX: Final = 100_000
"""The newest commands whose effect a process can still tell."""
IDEMPOTENCY_KEY_MAX_CHARS: Final = 255
IDEMPOTENCY_SECONDS: Final = 24 * 3_600
"""How long a key brings the first answer again."""
IDEMPOTENCY_LEASE_SECONDS: Final = 30
"""After it a command whose process died may be taken over by a retry."""

# -- an auction's time ---------------------------------------------------------------------------
TMAX_DEFAULT_MS: Final = 250
TMAX_MIN_MS: Final = 10
TMAX_MAX_MS: Final = 5_000
ANSWER_RESERVE_MS: Final = 15
"""Kept back from tmax for ranking, logging and answering."""
BIDDER_TIME_MIN_MS: Final = 5
"""A bidder that would get less is not asked: it could only time out."""

# -- bidders' answers ----------------------------------------------------------------------------
BID_RESPONSE_MAX_BYTES: Final = 512 * 1024
BIDS_PER_RESPONSE_MAX: Final = 256
BID_LIST_MAX_ITEMS: Final = 64
"""Advertisers, categories, attributes or APIs of one ad."""
OTHER_BIDS_MAX_BYTES: Final = 256 * 1024
"""What a bidder's event keeps of its further bids for the same imp."""
MARKUP_MAX_CHARS: Final = 256 * 1024
MARKUP_GROWTH_MAX_CHARS: Final = 128 * 1024
"""By which filling its macros may lengthen a markup."""
CLICK_URL_USUAL_CHARS: Final = 2 * 1024
"""What a markup is taken to grow by with each `${GAVEL_CLICK_URL}`."""
NOTICE_URL_MAX_CHARS: Final = 8 * 1024
"""Notice addresses are kept in the log."""
CONNECTIONS_PER_BIDDER_MAX: Final = 256
BID_RESPONSE_HEAD_MAX_BYTES: Final = 16 * 1024
"""Header lines of one answer, interim (1xx) ones included."""
BIDDER_CONNECT_MAX_SECONDS: Final = 3
"""Per address. A connection that comes too late for its call still serves the next one."""
LATE_ANSWER_MAX_SECONDS: Final = 2
"""After its deadline, an answer that nobody can use any more is waited for so long, to be logged."""
LATE_ANSWERS_PER_BIDDER_MAX: Final = 32
"""At a time; each holds a connection."""
BIDDER_IDLE_MAX_SECONDS: Final = 30
BIDDER_URLS_MAX: Final = 4_096
"""Prepared request heads, and bidders with pools of their own."""
QUOTA_WAIT_SECONDS: Final = 0.05
"""For Redis to count a call; past it a process goes by its own share of the bidder's limit."""
BIDDER_FAIR_TIME_MS: Final = 50
"""A time-out of a bidder that had less says nothing about its health."""
HOSTS_CACHED_MAX: Final = 4_096
HOST_FOUND_SECONDS: Final = 30
HOST_NOT_FOUND_SECONDS: Final = 2

# -- work in flight ------------------------------------------------------------------------------
AUCTIONS_IN_FLIGHT_MAX: Final = 2_000
LOG_BYTES_IN_FLIGHT_MAX: Final = 64 * 1024 * 1024
LOG_ACK_TIMEOUT_MS: Final = 2_000
LOG_ACK_OVERDUE_MS: Final = 500
"""With an older write still unacknowledged the log counts as away: new writes are refused at once."""
LOG_LINGER_MS: Final = 1
LOG_HOLD_MS: Final = 20
"""How long a request on its way to a broker holds back the next one, so that it can carry more."""
LOG_BATCH_MAX_BYTES: Final = 900 * 1024
"""Below the 1 MiB that a broker takes by default; no event may be larger."""
SPOOL_MAX_BYTES: Final = 1024 * 1024 * 1024
SPOOL_FILE_MAX_BYTES: Final = 8 * 1024 * 1024
"""What a killed process may write a second time at most."""

# -- dead letters --------------------------------------------------------------------------------
SKIP_REASON_MAX_CHARS: Final = 1_000

# -- engagements ---------------------------------------------------------------------------------
TOKEN_MAX_CHARS: Final = 16 * 1024
"""The longest ids and addresses that OpenRTB lets in, in characters of four bytes, stay below."""
IMPRESSION_EXPIRY_SECONDS: Final = 3_600
IMPRESSION_EXPIRY_MAX_SECONDS: Final = 24 * 3_600
"""Whatever imp and bid say: for so long anybody who asks for an ad may hold the money of a campaign."""
BID_EXPIRY_MIN_SECONDS: Final = 60
"""What OpenRTB 2.6 section 7.2 takes for usual on the web; a bid that says less means this."""
CLICK_EXPIRY_SECONDS: Final = 24 * 3_600
TOKEN_KEY_KEPT_SECONDS: Final = 30 * 24 * 3_600
"""After its end; so long a token is told apart from a forged one."""
USER_AGENT_KEPT_MAX_CHARS: Final = 512
USER_AGENT_READ_MAX_CHARS: Final = 4_096
"""Of a viewer's, as a server states it."""
EVENTS_PER_REQUEST_MAX: Final = 256
"""That a server reports at a time."""
VOID_REASON_MAX_CHARS: Final = 1_000
"""Of a refund; kept in the log."""
ENGAGEMENTS_PER_IP_MINUTE_MAX: Final = 600
IMPRESSIONS_PER_IP_AND_AD_MINUTE_MAX: Final = 120
"""Of one ad to one address: a household, or an office, but no page that reloads itself."""
CLICKS_PER_IP_AND_AD_MINUTE_MAX: Final = 10
USER_AGENTS_REMEMBERED_MAX: Final = 4_096
"""Looking one up in the lists costs 150 µs and more, and most hits share few user agents."""
TRAFFIC_LIST_MAX_BYTES: Final = 16 * 1024 * 1024
"""A file of patterns or networks."""
TRAFFIC_LIST_FAULTS_MAX: Final = 10
"""Bad lines that are named; more are counted only."""
PATTERN_MAX_CHARS: Final = 512
ADDRESSES_COUNTED_MAX: Final = 100_000
"""Whose auctions a process counts in a minute."""
ADS_PER_IP_MINUTE_MAX: Final = 600
"""Whole networks share an address: a page of ten ads each second is more than that."""

# -- budgets -------------------------------------------------------------------------------------
BUDGET_GRACE_SECONDS: Final = 300
"""After the end of an award, before its reservation is released: for clocks that differ, and spools that drain."""
BUDGET_IN_FLIGHT_SECONDS: Final = 5
"""So long after its reservation an award is in the log at the latest, or is never answered."""

# -- campaigns in auctions -------------------------------------------------------------------------
CAMPAIGNS_LOOKED_AT_MAX: Final = 4_096
"""For one imp, at some microseconds each: with that many in a row that fit and may not bid, the others wait for the
next imp, which passes these over."""
CAMPAIGNS_HELD_BACK_MAX: Final = 32
"""For one imp, before those that are known to rest are passed over."""
ADS_JUDGED_MAX: Final = 256
"""For one imp."""
ADS_JUDGED_PER_ADVERTISER_MAX: Final = 64
"""For one imp, before an advertiser's campaigns are passed over, all of whose ads were refused."""
SIZES_LOOKED_AT_MAX: Final = 256
"""Of the campaigns' ads, for an imp of flexible size, beside the usual ones."""
CAMPAIGNS_STANDING_MAX: Final = 4
"""That may win an imp: each stands in for the one before, should that one's budget have no room."""
CAMPAIGNS_TOLD_MAX: Final = 8
"""Of those that fit an imp and do not bid for it, in its story."""
SEGMENTS_READ_MAX_SECONDS: Final = 0.02
"""So long at most an auction waits to learn which segments its viewer is in."""
SEGMENT_CLIENTS_READ_MAX: Final = 32
"""Feed clients that are asked for one viewer."""
SEGMENTS_OF_A_VIEWER_MAX: Final = 256
"""That campaigns are looked for by, of each feed client."""

# -- feeds ---------------------------------------------------------------------------------------
FEED_RECORD_MAX_BYTES: Final = 10_240
"""The JSON line of a record or of a change, without its end; of one that came in another form, as it would be then."""
FEED_KEY_MAX_BYTES: Final = 512
FEED_VALUE_DEPTH_MAX: Final = 32
FEED_ENVELOPE_MAX_BYTES: Final = 256 * 1024
"""A connector's envelope: it carries the row twice, and the schema of both."""
FEED_REJECTED_LISTED_MAX: Final = 100
"""Bad lines of an upload that are named; more are counted only."""
FEED_PIECE_MAX_BYTES: Final = 16 * 1024
"""Unpacked and handed on at a time: be it blank lines, it keeps others waiting for a few milliseconds."""
FEED_PORTION_BYTES: Final = 32 * 1024
"""Of lines, worked on before others have their turn: about a millisecond of the event loop."""
FEED_LINE_BYTES: Final = 512
"""That each of them counts for beside its own: however short it is, it is checked, sealed and logged."""
FEED_PACKED_STEP_BYTES: Final = 8 * 1024
"""Unpacked at a time: what follows the end of a frame is copied, and frames may be tiny."""
FEED_INFLATION_MAX: Final = 256
"""Times that unpacking may enlarge an upload: records that differ in nothing but their keys stay below."""
FEED_INFLATION_FREE_BYTES: Final = 16 * 1024 * 1024
"""Unpacked, before that is looked at."""
FEED_ZSTD_WINDOW_LOG_MAX: Final = 23
"""8 MiB, what every reader of the format should bear (RFC 8878, section 3.1.1.1.2)."""
FEED_AVRO_HEADER_MAX_BYTES: Final = 256 * 1024
FEED_AVRO_METADATA_MAX: Final = 64
"""Entries of the header."""
FEED_AVRO_SCHEMA_NODES_MAX: Final = 4_096
"""Fields, branches and items, each as often as it stands in a record."""
FEED_AVRO_BLOCK_MAX_BYTES: Final = 8 * 1024 * 1024
"""Packed, and unpacked; writers end a block after 16 to 64 KiB if nobody tells them otherwise."""
FEED_AVRO_RECORD_MAX_BYTES: Final = 3 * FEED_RECORD_MAX_BYTES
"""Packed as it is: a number of two digits takes eight bytes there, so JSON may be a good deal shorter."""
FEED_AVRO_READS_MAX: Final = 32 * 1024
"""To pass over a record that is too long, one or two for each item; the rest of its block is lost with more of them."""
FEED_AVRO_NAME_MAX_CHARS: Final = 256
"""Of a field or symbol: a single byte of data may bring one to each record's JSON."""
FEED_SCRIPT_RECORDS: Final = 100
"""Of a client, applied to Redis at a time, and one row of the audit; Redis answers nobody else meanwhile."""
FEED_SCRIPT_RECORDS_MAX: Final = 1_000
"""That it may be set to: a script can hand over so many at once."""
FEED_BATCH_MAX_BYTES: Final = 512 * 1024
"""Events of an upload that are written to the log at a time, roughly."""
FEED_LOG_PATIENCE_SECONDS: Final = 30
"""A log that is away is waited for by an upload, which then is refused."""
FEED_RUNS_KEPT: Final = 1_000
"""Loads of a client whose figures are kept, and whose names an upload can resume; the latest, at least."""
FEED_RUNS_KEPT_MAX: Final = 1_100
"""With more of them all but the latest go at once: to look for the oldest each time would hold Redis up."""
FEED_UPLOADS_KEPT: Final = 1_000
"""Uploads of changes of a client that can be sent again under their names without a second effect; the latest, at
least."""
FEED_UPLOADS_KEPT_MAX: Final = 1_100
"""As of runs."""
FEED_CHUNK_TIMEOUT_SECONDS: Final = 60
"""An upload of which nothing comes for so long is cut off."""
FEED_UPLOAD_FREE_SECONDS: Final = 300
"""An upload's sender may be waited for so long in all, and longer by what it has sent at the least rate.

Minutes: meanwhile it holds one of few places.
"""
FEED_UPLOAD_MIN_BYTES_PER_SECOND: Final = 1_024
FEED_UPLOADS_MAX: Final = 32
"""Taken at once by one process: of each there may be 8 MiB in memory, a block of Avro."""
FEED_UPLOADS_OF_A_CLIENT_MAX: Final = 4
FEED_BACKLOG_MAX_RECORDS: Final = 200_000
"""Of a partition of a feed topic: with more to be applied nothing is taken for its clients.

About what is applied in FEED_BACKLOG_PATIENCE_SECONDS: so a load that waits for what stands before it has its turn.
"""
FEED_BACKLOG_PATIENCE_SECONDS: Final = 20
"""An upload under way waits so long for that to become less."""
FEED_MEMORY_MAX_PERCENT: Final = 98
"""Of the memory that Redis may take: past it nothing but deletions is taken for any client."""
FEED_RETRY_SECONDS: Final = 5
"""Who is refused because of either should come back no sooner."""
FEED_LOOK_UP_KEYS_MAX: Final = 100
"""Of one look-up: Redis answers nobody else meanwhile."""
FEED_START_PATIENCE_SECONDS: Final = 120
"""A load that was started and not opened for so long will not be: its upload gave up, or its process died."""
FEED_UNNAMED_RUN_PATIENCE_SECONDS: Final = 3_600
"""One that nobody can resume: its sender may be there still, with nothing but lines that are refused."""
FEED_RUN_PATIENCE_SECONDS: Final = 24 * 3_600
"""A load that may be resumed is given up after that: what was deleted meanwhile is remembered for it."""

# -- notices to bidders --------------------------------------------------------------------------
NOTICE_SENT_URL_MAX_CHARS: Final = 3 * NOTICE_URL_MAX_CHARS
"""With its macros filled, and escaped."""
NOTICE_TIMEOUT_SECONDS: Final = 10.0
"""For one attempt, redirects included."""
NOTICE_REDIRECTS_MAX: Final = 3
NOTICE_BODY_MAX_BYTES: Final = 16 * 1024
"""Nobody reads the body; more of it than that is cut off together with the connection."""
NOTICE_RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Between two attempts, each prolonged by chance up to half as long again: 63 s at least in all (section 7.8)."""
NOTICES_IN_FLIGHT_MAX: Final = 256
"""Of one notifier; a bidder gets no more than half of what is free of them."""
NOTICES_PER_HOST_MAX: Final = 16
"""Of one bidder to one host."""
NOTICE_HOSTS_PER_BIDDER_MAX: Final = 256
"""So many hosts of one bidder are looked at to find what is due; a bidder that names more waits longer itself."""
NOTICE_LEASE_SECONDS: Final = 30.0
"""For so long a claimed notice is left to its notifier; after that it is taken for dead."""
NOTICE_DAYS_KEPT: Final = 7
"""So long an impression can still lead to a billing notice, and the outbox knows what was sent."""

assert CLICK_BID_MAX_NANOS <= PRICE_MAX_MICROS, "an engagement keeps the price of a click where that of a CPM stands"
assert BUDGET_MAX_NANOS < 2**62, "what is spent and reserved of it is added up in 64 bits"
assert PRICE_MAX_MICROS < 2**44, "a deal's preference is added above the price in a Redis score"
assert LOG_LINGER_MS < LOG_ACK_OVERDUE_MS < LOG_ACK_TIMEOUT_MS
assert LOG_ACK_TIMEOUT_MS < 1_000 * BUDGET_IN_FLIGHT_SECONDS < 1_000 * BUDGET_GRACE_SECONDS
assert LOG_BATCH_MAX_BYTES < LOG_BYTES_IN_FLIGHT_MAX
assert IMPRESSION_EXPIRY_SECONDS < IMPRESSION_EXPIRY_MAX_SECONDS < TOKEN_KEY_KEPT_SECONDS
assert IMPRESSION_EXPIRY_MAX_SECONDS <= CLICK_EXPIRY_SECONDS, "what may be seen may be clicked"
assert LATE_ANSWERS_PER_BIDDER_MAX < CONNECTIONS_PER_BIDDER_MAX
assert BIDDER_TIME_MIN_MS < ANSWER_RESERVE_MS < TMAX_DEFAULT_MS < TMAX_MAX_MS
assert CLICKS_PER_IP_AND_AD_MINUTE_MAX < IMPRESSIONS_PER_IP_AND_AD_MINUTE_MAX < ENGAGEMENTS_PER_IP_MINUTE_MAX
assert FEED_RECORD_MAX_BYTES < FEED_PIECE_MAX_BYTES
assert FEED_LOG_PATIENCE_SECONDS * 2 < FEED_START_PATIENCE_SECONDS
assert (
    FEED_CHUNK_TIMEOUT_SECONDS + FEED_BACKLOG_PATIENCE_SECONDS + FEED_LOG_PATIENCE_SECONDS < FEED_START_PATIENCE_SECONDS
)
assert 2 * FEED_RECORD_MAX_BYTES + FEED_BATCH_MAX_BYTES < LOG_BATCH_MAX_BYTES, "sealed text is longer by a third"
assert NOTICE_TIMEOUT_SECONDS < NOTICE_LEASE_SECONDS
