"""Email addresses: the accepted syntax, the stored form, and the identity."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import email_validator
import idna

from reachbook.domain.address.text import (
    JOINERS,
    character_name,
    stripped,
    unstorable,
    without_invisible,
)
from reachbook.domain.errors import Reason, Refusal

MAX_RAW_CHARACTERS = 1000
MAX_OCTETS = 254
MAX_LOCAL_OCTETS = 64
MAILTO = "mailto:"

# A part before the @ that every library accepts, and that fits beside any domain.
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:\.[A-Za-z0-9_+-]{1,30})?")
_DOTS = re.compile(r"\.\.+")
_FULL_STOPS = re.compile("[\u3002\uff0e\uff61]")  # IDNA accepts these as the dot between labels
_AT_SIGNS = "\uff20\ufe6b"  # full-width and small form

# Until 2009 these carriers gave their customers addresses with consecutive dots, or with a dot
# before the @, and many are still in use. The domains are NTT DoCoMo, au, SoftBank with the names
# it had before (J-PHONE, Vodafone), Disney Mobile, WILLCOM and EMOBILE.
_CARRIERS_WITH_DOTS = re.compile(
    r"(?:docomo\.ne\.jp|(?:[a-z0-9-]+\.)?ezweb\.ne\.jp|softbank\.ne\.jp|i\.softbank\.jp"
    r"|[dhtcrknsq]\.vodafone\.ne\.jp|jp-[dhtcrknsq]\.ne\.jp|disney\.ne\.jp"
    r"|(?:[a-z0-9-]+\.)?pdx\.ne\.jp|willcom\.com|emnet\.ne\.jp)"
)


def read(text: str) -> tuple[str, str]:
    """Returns an email address as it is stored, and its identity.

    Raises `bad_email` if the text is not an email address.
    """
    if len(text) > MAX_RAW_CHARACTERS:
        raise bad_email(f"it is longer than {MAX_OCTETS} octets")
    cleaned = stripped(without_invisible(text, keep=JOINERS))
    if cleaned[: len(MAILTO)].lower() == MAILTO:
        cleaned = stripped(cleaned[len(MAILTO) :])
    _reject_characters(cleaned)
    local, _, domain = cleaned.rpartition("@")
    local = unicodedata.normalize("NFC", without_invisible(local))
    domain, ascii_domain = _domain(domain)
    _validate_parts(_without_carrier_dots(local, domain), _without_special_use(ascii_domain))
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        raise bad_email(f"the part before the @ is longer than {MAX_LOCAL_OCTETS} octets")
    written = f"{local}@{domain}"
    if len(written.encode()) > MAX_OCTETS:
        raise bad_email(f"it is longer than {MAX_OCTETS} octets")
    return written, identity(written)


def identity(written: str) -> str:
    """Returns the identity of an address that was stored.

    It is lower-cased and not casefolded: casefolding makes ß and ss equal, which are two names.
    """
    return unicodedata.normalize("NFC", written.lower())


def bad_email(why: str) -> Refusal:
    """Returns the refusal of a text that is not an email address."""
    return Refusal(
        Reason.BAD_EMAIL,
        f"This channel_id is not an email address: {why}. Send one like alice@example.com.",
        fields={"channel_id": "not an email address"},
    )


def _reject_characters(text: str) -> None:
    """Raises if the text is empty, too long or without @, or holds a hidden character."""
    if not text:
        raise bad_email("it is empty")
    if len(text) > MAX_OCTETS:
        raise bad_email(f"it is longer than {MAX_OCTETS} octets")
    forbidden = unstorable(text)
    if forbidden:
        raise bad_email(f"it holds {forbidden}")
    for char in "" if text.isascii() else text:
        if unicodedata.category(char)[0] == "Z" and char != " ":
            raise bad_email(f"it holds a space, {character_name(char)}")
        if char in _AT_SIGNS and "@" not in text:
            raise bad_email(f"write @ in place of {character_name(char)}")
    if "@" not in text:
        raise bad_email("it has no @")


def _validate_parts(local: str, domain: str) -> None:
    """Raises `bad_email` if the parts are not an email address.

    Most addresses have a plain part before the @ and one of a few domains. For these the result of
    the library, which takes 40 us, is cached by domain.
    """
    if _PLAIN_LOCAL.fullmatch(local):
        _validate_domain(domain)
    else:
        _validate(f"{local}@{domain}")


@lru_cache(maxsize=4096)
def _validate_domain(domain: str) -> None:
    _validate(f"a@{domain}")


def _validate(text: str) -> None:
    try:
        email_validator.validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=True,
        )
    except email_validator.EmailNotValidError as error:
        raise bad_email(_with_character(str(error).rstrip("."), text)) from None


def _with_character(sentence: str, text: str) -> str:
    """Returns the library's message as a clause, with the code of the character that it names."""
    clause = sentence[:1].lower() + sentence[1:]
    for char in "" if "U+" in sentence else text:
        if not char.isascii() and (repr(char) in clause or unicodedata.name(char, "?") in clause):
            return f"{clause} ({character_name(char)})"
    return clause


def _without_carrier_dots(local: str, domain: str) -> str:
    """Returns the part before the @ as the library accepts it from a customer of these carriers."""
    if "." not in local or _CARRIERS_WITH_DOTS.fullmatch(domain) is None:
        return local
    # The carriers never issued a local part of dots alone, or with a dot in front.
    return _DOTS.sub(".", local).removesuffix(".")


def _without_special_use(domain: str) -> str:
    """Returns an ASCII domain with another top-level domain in place of `.test`, `.local`, ...

    The library refuses these names, which suits a sign-up form; internal mail of a company may use
    them. The list is a global variable of the library, so it is not changed here. The other name
    has the same length, so that the library's limits of lengths apply.
    """
    head, dot, last = domain.rpartition(".")
    if dot and last in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        return f"{head}.{'x' * len(last)}"
    return domain


# ── the domain ───────────────────────────────────────────────────────────────────────────────


def _domain(text: str) -> tuple[str, str]:
    """Returns a domain in Unicode, and the ASCII domain to validate with email-validator.

    An internationalized domain follows IDNA 2008, mapped by RFC 5895: lower case, narrow forms,
    NFC. email-validator cannot validate such labels: it refuses joiners, and maps by UTS 46, for
    which s and long s are equal. It gets an ASCII label of the same length instead, so that its
    limits of lengths apply.
    """
    if text.isascii() and "xn--" not in (lower := text.lower()):
        return lower, lower
    mapped = _FULL_STOPS.sub(".", _mapped(text))
    labels = [_label(label) for label in mapped.split(".")]
    _reject_bidi(labels)
    stand_ins = [label if label.isascii() else "x" * len(idna.alabel(label)) for label in labels]
    return ".".join(labels), ".".join(stand_ins)


def _mapped(text: str) -> str:
    narrow = "".join(
        unicodedata.normalize("NFKC", char)
        if unicodedata.decomposition(char).startswith(("<wide>", "<narrow>"))
        else char
        for char in text
    )
    # One character at a time, because str.lower() of a whole word changes a final Greek sigma.
    return unicodedata.normalize("NFC", "".join(char.lower() for char in narrow))


def _label(label: str) -> str:
    """Returns a label of a domain in Unicode, with the joiners that IDNA 2008 allows there."""
    label = _without_other_joiners(label)
    try:
        if label.startswith("xn--"):
            return idna.ulabel(label)
        if not label.isascii():
            idna.alabel(label)
    except idna.IDNAError as error:
        raise bad_email(f"the part after the @ is no domain ({error})") from None
    return label


def _without_other_joiners(label: str) -> str:
    """Returns the label with those joiners that IDNA 2008 allows between their neighbours."""
    if label.isascii():
        return label
    result = ""
    for position, char in enumerate(label):
        if char in JOINERS:
            rest = without_invisible(label[position:])
            if not _is_joiner_allowed(result + char + rest, len(result)):
                continue
        result += char
    return result


def _is_joiner_allowed(label: str, position: int) -> bool:
    try:
        return idna.valid_contextj(label, position)
    except ValueError:  # a neighbour is not assigned in the Unicode version of this Python
        return False


def _reject_bidi(labels: list[str]) -> None:
    """Raises if the labels break the Bidi rule (RFC 5893), which holds for the whole domain."""
    directions = {unicodedata.bidirectional(char) for label in labels for char in label}
    if directions.isdisjoint({"R", "AL", "AN"}):
        return
    try:
        for label in filter(None, labels):
            idna.check_bidi(label, check_ltr=True)
    except idna.IDNAError as error:
        raise bad_email(f"the part after the @ is no domain ({error})") from None
