"""Routes that query read models; each answer says how far behind the log it may be."""
