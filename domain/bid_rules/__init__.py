"""The rules that one bid must keep, a file for each concern.

Every rule is a pure function that gives the Refusal of the first thing that is wrong, or None.
"""
