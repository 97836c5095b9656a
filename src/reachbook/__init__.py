"""Reachbook: the book of how a team can reach its contacts."""

__version__ = "0.1.0"
