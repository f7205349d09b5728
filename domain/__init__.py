"""The rules of the exchange: pure functions and immutable values.

Nothing in here does I/O, reads a clock, draws a random number or knows an event loop.
Time and fresh ids come in as arguments, so a decision of last month can be taken again today.
"""
