"""Routes that turn requests into commands; the hot ones are raw ASGI."""
