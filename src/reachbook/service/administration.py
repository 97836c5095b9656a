"""Teams and their credentials: the use cases of the command line and of the web console."""

from __future__ import annotations

from collections.abc import Callable

import phonenumbers
from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import credential as credentials
from reachbook.domain import sealing, timestamps
from reachbook.domain.credential import Credential, Representation, TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.storage import Store, Team
from reachbook.storage.store import CredentialKind

__all__ = ["Administration", "CredentialKind", "CredentialOptions", "Rekeyed"]

MAX_NAME = 255
MAX_ID = 2**63 - 1
NO_REGION = ""


class CredentialOptions(Struct, frozen=True):
    """The label, representation and permission of a new credential."""

    representation: Representation
    label: str = ""
    read_only: bool = False


class Rekeyed(Struct, frozen=True):
    """The result of a rotation of the master key, and the live secrets that no key opens.

    `team_keys` counts the suppression keys that were sealed again. No master key opens those of
    `unopened_teams`. Those of `discarded_teams` were deleted with the teams' suppressions.
    """

    resealed: int
    unopened: list[str]
    team_keys: int = 0
    unopened_teams: list[int] = []
    discarded_teams: list[int] = []


class Administration:
    """Teams and credentials. `clock` gives microseconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def create_team(self, name: str, region: str | None) -> Team:
        """Create a team; `region` is the country whose national numbers it types, or None.

        Raises `bad_value` if the name or the region is not accepted.
        """
        return await self._store.create_team(_name(name), _region(region), self._clock())

    async def set_team(self, team_id: int, name: str | None, region: str | None) -> Team:
        """Change the name or the region of a team, and return the team.

        None leaves a value as it is, and an empty region removes the region.
        """
        team = await self.team(team_id)
        if name is not None:
            team = replace(team, name=_name(name))
        if region is not None:
            team = replace(team, default_region=_region(region))
        await self._store.set_team(team)
        return team

    async def team(self, team_id: int) -> Team:
        """Returns a team; raises `no_team` if there is none with that id."""
        team = await self._store.team(team_id) if 0 < team_id <= MAX_ID else None
        if team is None:
            raise Refusal(
                Reason.NO_TEAM, f"There is no team {team_id}; reachbook team list shows them."
            )
        return team

    async def teams(self) -> list[Team]:
        """Returns all teams, oldest first."""
        return await self._store.teams()

    async def create_secret(
        self, team_id: int, options: CredentialOptions, master_key: bytes
    ) -> tuple[Credential, str]:
        """Create an API secret; returns it with its key, which is not stored in a readable form.

        Raises `two_live_secrets` if the team has two that are not revoked.
        """
        team = await self.team(team_id)
        secret_id, secret_key = credentials.new_secret_id(team_id), credentials.new_secret_key()
        sealed = sealing.seal(master_key, secret_id, secret_key)
        secret = self._new(team, secret_id, sealed, options)
        slots = range(1, credentials.LIVE_SECRETS + 1)
        if not await self._store.insert_api_secret(secret, slots):
            raise Refusal(
                Reason.TWO_LIVE_SECRETS,
                f"Team {team_id} has {credentials.LIVE_SECRETS} live API secrets, which is the "
                "most; revoke one first: reachbook secret list, reachbook secret revoke ID.",
            )
        return secret, secret_key

    async def create_key(self, team_id: int, options: CredentialOptions) -> tuple[Credential, str]:
        """Create an API key; returns its record and the key itself, of which a hash is stored."""
        team = await self.team(team_id)
        key_id = credentials.new_key_id(team_id)
        api_key = credentials.new_api_key(key_id)
        hashed = credentials.hash_api_key(api_key)
        key = self._new(team, key_id, hashed, options)
        await self._store.insert_api_key(key)
        return key, api_key

    async def list(self, kind: CredentialKind, team_id: int | None) -> list[Credential]:
        """Returns the credentials of a kind, of one team or, if `team_id` is None, of all teams."""
        if team_id is not None:
            await self.team(team_id)
            return await self._store.credentials(kind, team_id)
        teams = await self._store.teams()
        return [
            credential
            for team in teams
            for credential in await self._store.credentials(kind, team.team_id)
        ]

    async def revoke(self, kind: CredentialKind, ident: str) -> Credential:
        """Revoke a credential, and return it. Every worker refuses it within a second.

        Raises `no_credential` or `already_revoked`.
        """
        team_id = credentials.team_hint(ident)
        now = self._clock()
        ended = team_id is not None and await self._store.revoke(kind, team_id, ident, now)
        found = await self._store.credential(kind, team_id, ident) if team_id is not None else None
        if found is None:
            noun = kind.replace("api_", "")
            raise Refusal(
                Reason.NO_CREDENTIAL,
                f"There is no {noun} {ident}; reachbook {noun} list shows them.",
            )
        if not ended:
            raise Refusal(
                Reason.ALREADY_REVOKED,
                f"{ident} has been revoked since {timestamps.format_micros(found.revoked or now)}.",
            )
        return found

    async def rekey(self, keys: tuple[bytes, ...]) -> Rekeyed:
        """Reseal every secret of an earlier key under the first of `keys`."""
        current, *earlier = keys
        done = Rekeyed(0, [])
        for secret in await self.list("api_secret", None):
            if sealing.unseal(current, secret.id, secret.proof) is not None:
                continue
            secret_key = sealing.unseal_any(tuple(earlier), secret.id, secret.proof)
            if secret_key is not None:
                sealed = sealing.seal(current, secret.id, secret_key)
                resealed = await self._store.reseal(secret, sealed)
                done = replace(done, resealed=done.resealed + resealed)
            elif secret.revoked is None:
                done = replace(done, unopened=[*done.unopened, secret.id])
        return done

    async def rekey_teams(self, keys: tuple[bytes, ...], *, discard: bool) -> Rekeyed:
        """Seal the suppression keys of teams under the current master key.

        A key that no master key opens is not changed, or deleted with the suppressions if
        `discard`.
        """
        resealed, unopened, discarded = 0, [], []
        for team_id, sealed in await self._store.suppression_keys():
            if sealing.unseal_team_key(keys[:1], team_id, sealed) is not None:
                continue
            opened = sealing.unseal_team_key(keys[1:], team_id, sealed)
            if opened is not None:
                new = sealing.seal_team_key(keys[0], team_id, opened.decode())
                resealed += await self._store.reseal_suppression_key(team_id, sealed, new)
            elif discard and await self._store.discard_suppressions(team_id, sealed):
                discarded.append(team_id)
            else:
                unopened.append(team_id)
        return Rekeyed(0, [], resealed, unopened, discarded)

    def _new(self, team: Team, ident: str, proof: bytes, options: CredentialOptions) -> Credential:
        return Credential(
            team_id=TeamId(team.team_id),
            id=ident,
            proof=proof,
            label=_label(options.label),
            representation=options.representation,
            read_only=options.read_only,
            created=self._clock(),
            last_used=None,
            revoked=None,
            default_region=team.default_region,
        )


def _name(name: str, field: str = "name") -> str:
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Refusal(
            Reason.BAD_VALUE, f"A {field} is 1 to {MAX_NAME} printable characters, not all spaces."
        )
    return name


def _label(label: str) -> str:
    return _name(label, "label") if label else ""


def _region(region: str | None) -> str | None:
    if region in (None, NO_REGION):
        return None
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise Refusal(
            Reason.BAD_VALUE,
            f"The region must be the two capital letters of a country, like US or BR; got "
            f"{region!r}.",
        )
    return region
