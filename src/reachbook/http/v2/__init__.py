"""The routes of the vendor: /v2 and /v1."""
