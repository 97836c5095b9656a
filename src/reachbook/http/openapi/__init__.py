"""The OpenAPI description, generated from the operations."""
