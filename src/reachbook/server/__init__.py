"""The server process: uvicorn, its protocol, worker processes and the master key."""
