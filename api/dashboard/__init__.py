"""The page at `/`: three static files, no build step, nothing loaded from elsewhere."""
