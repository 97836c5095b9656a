"""Addresses: parsing, canonical forms and identities (contract section 3)."""
