"""The bodies of requests and responses, as structs. These modules must not import slow ones."""
