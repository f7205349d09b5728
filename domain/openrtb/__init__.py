"""OpenRTB 2.6: what publishers ask, what bidders answer, and what may leave the house.

`request` (with `context` and `person`) and `response` are the objects of the specification, `codes` its reasons.
`parse` checks and decodes them by `rules`, `faults` says what is wrong with them.
`offer` reads out of a request what an auction needs, `outbound` writes the copies for bidders and for the log.
"""
