"""The servers that Gavel starts by itself, started for real."""
