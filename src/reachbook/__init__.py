"""Reachbook: a self-hosted directory of how a team can reach its contacts.

domain/    values and pure rules: contacts, channels, addresses, credentials, events
service/   use cases for one team at a time; contact_writer.py reads, runs a rule and commits
storage/   the only access to data: store.py, queries.py, and an engine for each database
wire/      JSON in both directions
client/    a typed client of the API, for programs that call it
http/      app.py lists the routes; operation.py is the order of checks; v2/ and x/ the handlers
server/    uvicorn: start and stop, worker processes, limits of connections
doctor/    consistency checks of a database
cli/       the command line; it imports everything, and nothing imports it
"""

__version__ = "0.1.0"
