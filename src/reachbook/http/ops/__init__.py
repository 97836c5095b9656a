"""Routes without credentials: probes, metrics, the description and its page."""
