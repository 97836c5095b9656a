"""Other ways to build the same service, for comparison; each may be absent."""
