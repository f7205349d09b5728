"""The read side: the engine, and one file per read model or cache."""
