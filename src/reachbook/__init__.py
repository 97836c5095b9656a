"""Reachbook: the book of how a team can reach its contacts.

The walk of one request, POST /v2/contact/{contactID}/channel:

  1  http/app.py              finds the route                           one list of routes
  2  http/middleware.py       gives it an id, and at the end a log line
  3  http/resource.py         judges it in order: method (405), caller (401, 403), allowance (429)
                              and looks for what its Idempotency-Key was answered before
  4  http/contact_channel.py  decodes path, query and body → Wanted     400 if malformed
  5  service/changing.py      seen = await store.read(Reach, team, uuid)      one read, its revision
  6  contact_channel.py       after = add(seen, wanted, now)            a pure rule; 404, 409
  7  service/changing.py      await store.commit(Commit(...))           one write: rev, rows, event
  8  http/contact_channel.py  encodes the contact's whole list → 200

The words, pure, without I/O and without a clock:
  errors.py                   the ways we say no; no HTTP here
  escaping.py                 replaces the characters that a terminal interprets
  moment.py                   microseconds since the epoch, and how they are written
  address.py                  what was typed → the canonical address and its identity
  address_text.py             white space, invisible characters, digits of other scripts
  address_email.py            email addresses; beside it address_phone.py for the phone family
  numbering.py                E.164, renumbered countries, how a region reads a national number
  explain.py                  explains how an address was read
  reach.py                    ContactChannel, and Reach: a contact's channels at one revision
  contact_channel.py          the rules add, replace, remove, patch, make_primary, make_way
  contact.py                  Contact; the rules create, update, delete, erase
  credential.py               API secret, API key; a bearer token read and verified
  event.py                    what happened: one frozen fact a revision, before and after
  history.py                  events folded: a contact as of a revision or a moment
  list_cursor.py              cursors of a list: where a page begins and where it may end
  suppression.py              opt-outs and bounces of addresses, which stay with the address
  incarnation.py              the token of a store that changes when the store is restored
What is counted:
  measures.py                 counters and gauges for Prometheus, handed to the rooms that count
  background.py               logs and counts the unexpected errors of work that nobody awaits
JSON, both ways:
  wire/                       the vendor's: wire/request.py, wire/answer.py, wire/refusal.py
  wire/query.py               query strings, and what is said of a name that we do not know
  wire/directory.py           many contacts: lists, search, bulk
  wire/list_cursor.py         the date of a list request, with the precision of its digits
  wire/own.py                 what /x takes and shows: resolve, one channel with all we know of it
  wire/happened.py            events, pages of them, the export
  wire/shown.py               the rows of bulk bodies, for the description alone
The use cases: read, rule, commit:
  service/                    what one can ask of the book, for one team at a time
  service/changing.py         how a contact is changed; how owners make way for a move
  service/channels.py         a contact's channels; beside it service/contacts.py
  service/contact_list.py     pages of contacts by the time of their last change
  service/resolve.py          who is this; service/lookup.py: own type first, then the phone family
  service/history.py          history, feed, as_of, export, erase
  service/team_keys.py        the key of each team that addresses are hashed with
  access.py                   who is asking: a token → Caller, trusted for 0.9 s
  administration.py           teams and credentials, for the person at the terminal
  first_run.py                the first start: a team, its credentials, the contact of the seeds
  doctor/                     what should never be; doctor/finding.py is one fault
  doctor/reading.py           all that is kept under a contact's number, in bounded pages
  doctor/contact.py           one contact judged; doctor/team.py a whole team, doctor/repair.py
The storage, the only door to data:
  storage/                    what the others may import from here
  storage/door.py             which engine a database URL means
  storage/store.py            what is kept and looked up, in words; who is in the way of a commit
  storage/directory.py        reads that span contacts: pages, owners, what happened, the feed
  storage/commit.py           a commit is a value; so is the answer to it
  storage/rows.py             rows of the statements → words
  storage/engine.py           the waist: what a store asks of an engine
  storage/postgres.py         how PostgreSQL connects, binds, commits, complains
  storage/postgres_pool.py    its connections: lent, bounded, given up when they do not answer
  storage/postgres_schema.py  how its schema is brought up to date
  storage/sqlite.py           the same answers for SQLite
  storage/sqlite_writer.py    its one writing thread: what waits together shares an fsync
  storage/sql/                every statement, a page per noun, each named and explained
  storage/backup.py           a SQLite store as one file: copied while in use, checked, put back
  storage/identities.py       the migration of identities, when the rules of addresses change
  storage/migrations/         numbered steps to the schema, one file for each engine
HTTP:
  http/                       http/app.py: routes, middleware, lifespan. Start reading here
  http/resource.py            one path and its methods; the order in which a request is judged
  http/message.py             a request as a handler sees it; the answer, the refusal
  http/conditions.py          ETag, If-Match, If-None-Match, Idempotency-Key
  http/compression.py         gzip for long lists, if the client accepts it
  http/middleware.py          what surrounds every request, unknown routes included
  http/allowance.py           requests a minute for each credential
  http/desk.py                what every handler works with
  http/contact_channel.py     the five operations: decode, ask, encode, return
  http/contact.py             one contact, the team, its inboxes; http/contacts.py: many at once
  http/resolve.py             who is this: one address, or up to 1,000
  http/known_channel.py       one channel, exactly, and with all that we know of it
  http/history.py             history, feed, export, erase
  http/probes.py              alive, ready, and what was counted
  http/examples.py            Alice of the seeds, and refusals as the rules say them
  http/openapi.py             the description: what the handlers say of themselves
  http/shared.py              and what many of them share, said once
  http/docs.py                the page that shows it
  http/deadline.py            the server's protocol, with deadlines and limits
  http/framing.py             received bytes in pieces that end with a request; checks of a head
  http/connection.py          flow control, slow readers, idle connections
The program:
  settings.py                 flags, then environment, then defaults → Settings, once
  master_key.py               the key that API secrets are sealed under
  logs.py                     JSON lines, written to standard error by a thread
  server.py                   from settings to a listening socket, and back to silence
  metrics_server.py           /metrics on an address of its own
  supervising.py              the processes that serve: one, or a parent with its workers
  cli/                        knows everyone, known by nobody; cli/common.py is what commands share
  cli/serve.py                serve, migrate, settings
  cli/identity_report.py      what migrate reports about identities
  cli/operate.py              doctor, backup, restore, rekey
  cli/team.py                 team; beside it cli/credential.py (secret, key)
  cli/resolve.py              resolve; cli/values.py: arguments that may begin with a + or a -
  cli/contact.py              contact create and show; cli/past.py: history, export, erase
  cli/channel.py              channel
  __main__.py                 python -m reachbook
"""

__version__ = "0.1.0"
