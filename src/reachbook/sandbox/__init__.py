"""A server for laptops and CI, whose store, clock and faults a test controls.

`app` puts two applications side by side: `control` handles the routes under `/sandbox`, and every
other request goes through the journal and the queue of faults to the API as `serve` has it.
"""
