"""Feeds of records: what a load and a change are, what they are made of, and what counts where they meet."""
