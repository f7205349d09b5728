"""Campaigns of the exchange's own: which of them fit an imp, what they bid for it, and why the others do not."""
