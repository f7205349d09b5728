"""The outermost layer: settings, wiring, command line, embedded servers, telemetry. Nothing imports it."""
