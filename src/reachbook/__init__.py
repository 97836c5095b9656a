"""Reachbook: the book of how a team can reach its contacts.

The walk of one request, POST /v2/contact/{contactID}/channel:

  1  http/app.py              finds the route                           one list of routes
  2  http/middleware.py       gives it an id, and at the end a log line
  3  http/resource.py         judges it in order: method (405), caller (401, 403), allowance (429)
  4  http/contact_channel.py  decodes path, query and body → Wanted     400 if malformed
  5  service.py               seen = await store.read(Reach, team, uuid)      one read, its revision
  6  contact_channel.py       after = add(seen, wanted, now)            a pure rule; 404, 409
  7  service.py               await store.commit(Commit(...))           one write: rev, rows, event
  8  http/contact_channel.py  encodes the contact's whole list → 200

The words, pure, without I/O and without a clock:
  errors.py                   the ways we say no; no HTTP here
  moment.py                   microseconds since the epoch, and how they are written
  address.py                  what was typed → the canonical address and its identity
  contact_channel.py          ContactChannel, Reach; the rules add, replace, remove, pick
  contact.py                  Contact; the rules create and delete
  credential.py               API secret, API key; a bearer token read and verified
  event.py                    what happened: one frozen fact a revision, before and after
What is counted:
  measures.py                 counters and gauges for Prometheus, handed to the rooms that count
The vendor's JSON, both ways:
  wire/                       wire/request.py in, wire/answer.py and wire/refusal.py out
The use cases: read, rule, commit:
  service.py                  contacts and their channels, for one team at a time
  access.py                   who is asking: a token → Caller, trusted for 0.9 s
  administration.py           teams and credentials, for the person at the terminal
  first_run.py                the first start: a team, its credentials, the contact of the seeds
The storage, the only door to data:
  storage/                    what the others may import from here
  storage/door.py             which engine a database URL means
  storage/store.py            what is kept and looked up, in words; who is in the way of a commit
  storage/commit.py           a commit is a value; so is the answer to it
  storage/engine.py           the waist: what a store asks of an engine
  storage/postgres.py         how PostgreSQL connects, binds, commits, complains
  storage/sqlite.py           the same answers for SQLite
  storage/sqlite_writer.py    its one writing thread: what waits together shares an fsync
  storage/sql/                every statement, a page per noun, each named and explained
  storage/migrations/         numbered steps to the schema, one file for each engine
HTTP:
  http/                       http/app.py: routes, middleware, lifespan. Start reading here
  http/resource.py            one path and its methods; the order in which a request is judged
  http/message.py             a request as a handler sees it; the answer, the refusal
  http/middleware.py          what surrounds every request, unknown routes included
  http/allowance.py           requests a minute for each credential
  http/desk.py                what every handler works with
  http/contact_channel.py     the five operations: decode, ask, encode, return
  http/contact.py             contacts as far as channels need them, and the team
  http/probes.py              alive, ready, and what was counted
  http/deadline.py            the one place that touches the server's protocol: slow clients, caps
The program:
  settings.py                 flags, then environment, then defaults → Settings, once
  master_key.py               the key that API secrets are sealed under
  logs.py                     JSON lines on standard error
  server.py                   from settings to a listening socket, and back to silence
  cli/                        knows everyone, known by nobody; cli/common.py is what commands share
  cli/serve.py                serve, migrate, settings
  cli/team.py                 team; beside it cli/credential.py (secret, key) and cli/contact.py
  __main__.py                 python -m reachbook
"""

__version__ = "0.1.0"
