"""Figures of the last seconds, streamed to browsers."""
