"""The peers: what a good team would write with the usual stack, and nothing more.

They do less than Gavel does (no check of each bid, no signed tokens, no personal data taken out, no duplicates
found, no bounds), so every difference that remains is in their favour.
"""
