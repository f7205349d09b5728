"""Simulated publishers, bidders and viewers: seeded traffic for the demo, for measuring and for audits.

They meet the exchange over HTTP alone, as their real counterparts would, and know nothing of its inside.
"""
