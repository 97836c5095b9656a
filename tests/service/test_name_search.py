"""Search by names, in pages with a text as the cursor."""

from __future__ import annotations

import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.service import WriteContext, name_search
from tests.support.names import named
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


async def test_a_search_by_names_is_paged(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_search, "PAGE", 2)
    await named(api, bob, "Zoë,Quark", "Zoé,Quill", "Zora,Quist", "Zora,Berg")

    first = await api.service.names.page(bob.team_id, "ZO qu")
    second = await api.service.names.page(bob.team_id, "ZO qu", first.cursor)

    assert [each.last for each in first.contacts] == ["Quark", "Quill"]
    assert [each.last for each in second.contacts] == ["Quist"]
    assert (second.cursor, first.is_cut, second.is_cut) == (None, False, False)


async def test_a_search_without_words_is_empty(api: Api, bob: WriteContext) -> None:
    assert (await api.service.names.page(bob.team_id, "")).contacts == []


@pytest.mark.parametrize("cursor", ["", "nonsense", "7.berg"])
async def test_a_cursor_of_another_search_is_refused(
    api: Api, bob: WriteContext, cursor: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await api.service.names.page(bob.team_id, "zo", cursor)

    assert refused.value.reason is Reason.BAD_CURSOR
