"""Contacts, channels, addresses and credentials: pure values and rules, without I/O."""
