"""HTTP: `write/` turns requests into commands, `read/` queries read models, `live/` streams figures."""
