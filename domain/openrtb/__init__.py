"""OpenRTB 2.6: what publishers ask, what bidders answer, and what may leave the house.

`request` and `response` are the objects of the specification, `parse` checks and decodes them, `faults` says what
is wrong with a request, `offer` reads out of a request what an auction needs, `outbound` writes the copies for
bidders and for the log, `codes` are the IAB's numbered reasons.
"""
