"""What the owner of an entity may state about it, kind by kind: read from JSON, checked, and shown again."""
