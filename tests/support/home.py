"""A data directory in which a test runs `reachbook`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from tests.support.commands import Done, environment, run_command, run_in_process
from tests.support.server_process import Server, running


@dataclass(frozen=True)
class Home:
    """A data directory with settings, which are REACHBOOK_ variables in lower case."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def having(self, **settings: str) -> Self:
        """Return the same home with further settings."""
        return type(self)(self.directory, {**self.settings, **settings})

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command."""
        return environment(self.directory, **self.settings)

    @property
    def database(self) -> str:
        """The URL of the database in the settings."""
        return self.settings["database"]

    def run(
        self,
        *arguments: str,
        typed: str | None = None,
        output: IO[str] | int = subprocess.PIPE,
    ) -> Done:
        """Run a command to its end, with the parameters of `run_command`."""
        return run_command(*arguments, env=self.environment, typed=typed, output=output)

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json`, and return the one document that it prints."""
        return json.loads(self.run(*arguments, "--json").succeeded())

    def team_with_key(self) -> tuple[str, str]:
        """Create a team and an API key; return the team's id and the key."""
        team = str(self.json("team", "create", "Bob's team")["team_id"])
        return team, self.json("key", "create", "--team", team)["api_key"]

    def in_process(self) -> InProcessHome:
        """Return the same home, whose commands run in this process."""
        return InProcessHome(self.directory, self.settings)

    def as_process(self) -> Home:
        """Return the same home, whose commands run in processes of their own."""
        return Home(self.directory, self.settings)

    @contextmanager
    def serve(self, *arguments: str, errors: Path | None = None) -> Iterator[Server]:
        """Run a server until the block ends; its output is stored next to the data directory."""
        directory = self.directory.parent
        with running(directory, *arguments, env=self.environment, errors=errors) as server:
            yield server


class InProcessHome(Home):
    """A home whose commands run in this process, which is faster.

    A command that serves, is asked a question or writes to a file still has a process of its own.
    """

    def run(
        self,
        *arguments: str,
        typed: str | None = None,
        output: IO[str] | int = subprocess.PIPE,
    ) -> Done:
        """Run a command to its end."""
        if arguments[:1] == ("serve",) or typed is not None or output != subprocess.PIPE:
            return run_command(*arguments, env=self.environment, typed=typed, output=output)
        return run_in_process(*arguments, env=self.environment)
