"""The bodies of requests and responses, as structs: no parsing, and nothing that loads slowly."""
