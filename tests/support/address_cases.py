"""Addresses as people, address books, spreadsheets and messengers write them.

`FINDINGS` were reported by users. `MORE` are of the same kinds. `expected` is the address that is
stored, or the reason of the refusal.
"""

from __future__ import annotations

from typing import NamedTuple

from reachbook.domain.errors import Reason


class Case(NamedTuple):
    """An address that is sent by a team with a default region, and what becomes of it."""

    kind: str
    region: str | None
    sent: str
    expected: str | Reason
    because: str = ""


PERSIAN = "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"

FINDINGS = [
    Case("phone", "US", "(646) 555-0123", Reason.AMBIGUOUS, "also New Zealand's 6465550123"),
    Case("phone", "CN", "13612345678", Reason.AMBIGUOUS, "also a US number"),
    Case("phone", "BR", "(51) 98765-4321", Reason.AMBIGUOUS, "also Peru's"),
    Case("phone", "RU", "8 (495) 123-45-67", Reason.AMBIGUOUS, "also Vietnam's"),
    Case("phone", "US", "(510) 555-3344", "15105553344", "possible in Peru, but not valid"),
    Case("phone", "DE", "0170 1234567", "491701234567", "no country code begins with 0"),
    Case("phone", "US", "15105553344", "15105553344", "both readings are the same number"),
    Case("phone", "US", "447700900401", "447700900401", "only possible internationally"),
    Case("phone", None, "(510) 555-3344", "5105553344", "possible as it stands"),
    Case("phone", None, "00447700900401", "447700900401"),
    Case("phone", None, "(+44) 7700 900401", "447700900401"),
    Case(
        "phone",
        None,
        "\u202a+44\u00a07700\u2011900\u2011401\u202c",
        "447700900401",
        "marks of a phone's address book",
    ),
    Case("phone", None, "\uff0b44 7700 900401", "447700900401", "full-width plus"),
    Case("phone", None, "+\u0664\u0664 7700 900401", "447700900401", "Arabic-Indic digits"),
    Case("whatsapp", None, "whatsapp:+447700900401", "447700900401"),
    Case("whatsapp", None, "447700900401@s.whatsapp.net", "447700900401"),
    Case("whatsapp", None, "447700900401:3@s.whatsapp.net", "447700900401", "a device"),
    Case("whatsapp", None, "447700900401@c.us", "447700900401"),
    Case("whatsapp", None, "https://wa.me/447700900401", "447700900401"),
    Case("whatsapp", None, "447700900401 (work)", Reason.BAD_PHONE, "words beside a number"),
    Case("whatsapp", None, "82880134910105@lid", "82880134910105@lid", "opaque"),
    Case("phone", None, "tel:+44-7700-900401", "447700900401"),
    Case("phone", None, "91987654321.0", Reason.BAD_PHONE, "a spreadsheet's decimal"),
    Case("phone", None, "9.1987654321E+11", Reason.BAD_PHONE, "a spreadsheet's exponent"),
    Case("phone", None, "+62 21 555 0101 / 0102", Reason.BAD_PHONE, "two numbers"),
    Case("phone", None, "+49 30/1234567", "49301234567", "a slash within one number"),
    Case("phone", None, "+52 01 55 1234 5678", "525512345678", "trunk code"),
    Case("whatsapp", None, "22997123456", "2290197123456", "Benin, renumbered 2024"),
    Case("whatsapp", None, "22507123456", "2250707123456", "Ivory Coast, renumbered 2021"),
    Case("sms", None, "68849", "68849", "short code"),
    Case("sms", None, "SUPPORT", "SUPPORT", "sender name"),
    Case("telegram", None, "@alice_doe", "@alice_doe"),
    Case("email", None, " alice@example.com\u00a0", "alice@example.com", "outer blanks"),
    Case("email", None, "max@fa\u00df.de", "max@fa\u00df.de"),
    Case("email", None, "ali@xn--mgba3gch31f060k.com", f"ali@{PERSIAN}.com", "joiner"),
    Case("facebook", None, " ", Reason.BAD_CHANNEL_ID, "blank"),
]

CLEANED = [
    Case("phone", None, "\u200e+1\u200b510\u2060555\ufeff3344\ufe0f", "15105553344"),
    Case("phone", None, "\u3000+1\u2009510\u202f555\u20003344\u2029", "15105553344"),
    Case("phone", None, "\t\n 15105553344 \r\n\v\f\x85", "15105553344"),
    Case("phone", None, "+1\u2013510\u2014555\u22123344", "15105553344", "dashes"),
    Case("phone", None, "+1\ufe63510\uff0d555\u20103344", "15105553344", "dashes"),
    Case("phone", None, "+1\u00ad510\u00ad555\u00ad3344", "15105553344", "soft hyphens"),
    Case(
        "phone",
        None,
        "\uff11\uff15\uff11\uff10\uff15\uff15\uff15\uff13\uff13\uff14\uff14",
        "15105553344",
    ),
    Case("phone", None, "+\u06f1\u06f5\u06f1\u06f0 \u096b\u096b\u096b 3344", "15105553344"),
    Case("phone", None, "+1510555334\u00b2", Reason.BAD_PHONE, "U+00B2"),
    Case("phone", None, "1510\x075553344", Reason.BAD_PHONE, "U+0007"),
    Case("phone", None, "1510\t5553344", Reason.BAD_PHONE, "U+0009"),
    Case("phone", None, "1510\u20285553344", Reason.BAD_PHONE, "U+2028"),
    Case("phone", None, "+1510555334\u2460", Reason.BAD_PHONE, "U+2460"),
    Case("phone", None, "+1 510\uff085553344", Reason.BAD_PHONE, "U+FF08"),
    Case("phone", None, "\x1f15105553344", Reason.BAD_PHONE, "U+001F"),
    Case("phone", None, "\u200b", Reason.BAD_PHONE),
    Case("phone", None, "@", Reason.BAD_PHONE),
    Case("email", None, "@", Reason.BAD_EMAIL),
    Case("email", None, "\u200b\ufeff", Reason.BAD_EMAIL),
    Case("telegram", None, "@", Reason.BAD_CHANNEL_ID),
    Case("telegram", None, " @\u00a0", Reason.BAD_CHANNEL_ID),
    Case("facebook", None, "\u3000\u2029\t", Reason.BAD_CHANNEL_ID),
    Case("facebook", None, "@", Reason.BAD_CHANNEL_ID),
    Case("facebook", None, "\u2003As Given\u200b\n", "As Given\u200b"),
    Case("facebook", None, "a\x07b", Reason.BAD_CHANNEL_ID, "U+0007"),
    Case("rcs", None, "\u202a+1 510 555 3344\u202c", "15105553344"),
    Case("viber", None, "\u202a+1 510 555 3344\u202c", "15105553344"),
    Case("sms", None, "\u202aSUPPORT\u202c", "SUPPORT"),
    Case("whatsapp", None, "\u200e82880134910105@lid\u200e", "82880134910105@lid"),
]

AROUND_A_NUMBER = [
    *(
        Case(kind, None, sent, "447700900401")
        for kind in ("phone", "sms", "rcs", "whatsapp", "viber")
        for sent in ("tel:447700900401", "SMS:+44 7700 900401", "WhatsApp: (+44) 7700-900401")
    ),
    Case("phone", None, "HTTPS://WA.ME/+447700900401", "447700900401"),
    Case("whatsapp", None, "wa.me/447700900401", "447700900401"),
    Case("phone", None, "447700900401@S.WhatsApp.net", "447700900401"),
    Case("phone", None, "+44 7700 900401:17@c.us", "447700900401"),
    Case("phone", "US", "6465550123@c.us", "6465550123", "a JID is international"),
    Case("phone", "US", "https://wa.me/6465550123", "6465550123", "a link is international"),
    Case("phone", "DE", "00 1 646 555 0123", "16465550123"),
    Case("phone", None, "(0044) 7700 900401", "447700900401"),
    Case("phone", None, "+44 (0)20 7946 0018", "442079460018"),
    Case("phone", None, "+ (44) 20 7946 0018", "442079460018"),
    Case("phone", None, "+00447700900401", Reason.BAD_PHONE, "neither + nor 00 alone"),
    Case("phone", None, "0000447700900401", Reason.BAD_PHONE),
    Case("phone", None, "44 +7700 900401", Reason.BAD_PHONE),
    Case("phone", None, "++447700900401", Reason.BAD_PHONE),
    Case("phone", None, "fax:+447700900401", Reason.BAD_PHONE),
    Case("phone", None, "https://wa.me/message/ABC", Reason.BAD_PHONE),
    Case("phone", None, "tel:+447700900401;ext=5", Reason.BAD_PHONE, "an extension"),
    Case("phone", None, "447700900401 x12", Reason.BAD_PHONE),
    Case("phone", None, "447700900401#12", Reason.BAD_PHONE),
    Case("phone", None, "1510CALLNOW", Reason.BAD_PHONE, "letters"),
    Case("phone", None, "447700900401 (work)", Reason.BAD_PHONE),
    Case("phone", None, "447700900401@lid", Reason.BAD_PHONE),
]

TWO_IN_ONE = [
    *(
        Case(kind, None, sent, Reason.BAD_PHONE)
        for kind in ("phone", "sms", "rcs", "whatsapp", "viber")
        for sent in (
            "447700900401/447700900402",
            "+44 7700 900401 / 402",
            "447700900401, 447700900402",
            "447700900401;447700900402",
            "+447700900401+447700900402",
            "+44 7700 900401 +44 7700 900402",
            "447700900401 447700900402",
        )
    ),
    Case("phone", "US", "(510) 555-3344 / 3345", Reason.BAD_PHONE, "valid in the region"),
    Case("phone", "DE", "030 1234567/68", Reason.BAD_PHONE, "valid in the region"),
    Case("phone", "DE", "0170/1234567", "491701234567", "a slash within one number"),
    Case("phone", None, "+1 510/555-3344", "15105553344", "a slash within one number"),
    Case("phone", None, "1/510/555/3344/", "15105553344", "nothing behind the last"),
]

SPREADSHEETS = [
    Case(kind, None, sent, Reason.BAD_PHONE)
    for kind in ("phone", "sms", "rcs", "whatsapp", "viber")
    for sent in (
        *("447700900401.0", "447700900401,0", "447700900401.00", "+447700900401.0"),
        *("9.2E+10", "9.2e10", "9E+10", "1,98765E+10", "4.47700900401E11", "4.477009e+011"),
    )
]

IN_A_REGION = [
    Case("phone", "US", "+6465550123", "6465550123"),
    Case("phone", "US", "006465550123", "6465550123"),
    Case("phone", "US", "6465550123", Reason.AMBIGUOUS, "whatever the punctuation"),
    Case("phone", "US", "1 (646) 555-0123", "16465550123"),
    Case("phone", "US", "16465550123", "16465550123"),
    Case("phone", "US", "tel:(646) 555-0123", Reason.AMBIGUOUS),
    Case("phone", "US", "011 44 20 7946 0018", "442079460018", "dialled from the region"),
    Case("sms", "US", "(646) 555-0123", Reason.AMBIGUOUS),
    Case("whatsapp", "US", "(646) 555-0123", Reason.AMBIGUOUS),
    Case("whatsapp", "US", "6465550123", "6465550123", "digits alone are international"),
    Case("viber", "US", "whatsapp:6465550123", "6465550123", "digits alone are international"),
    Case("whatsapp", "US", "(510) 555-3344", "15105553344"),
    Case("whatsapp", "DE", "01701234567", Reason.BAD_PHONE, "digits alone are international"),
    Case("whatsapp", "US", "(510) 555-3344 home", Reason.BAD_PHONE),
    Case("phone", "DE", "15105553344", "15105553344", "a German number has its trunk prefix"),
    Case("phone", "DE", "015105553344", "4915105553344"),
    Case("phone", "DE", "493012345678", "493012345678"),
    Case("phone", "GB", "020 7946 0018", "442079460018"),
    Case("phone", "IT", "06 1234 5678", "390612345678", "Italy keeps the 0"),
    Case("phone", "AR", "011 15-2345-6789", "5491123456789"),
    Case("phone", "MX", "55 1234 5678", "525512345678"),
    Case("phone", "MX", "044 55 1234 5678", "525512345678", "trunk code"),
    Case("phone", "MX", "01 55 1234 5678", "525512345678", "trunk code"),
    Case("phone", "BJ", "97 12 34 56", "2290197123456", "from before 2024"),
    Case("phone", "CI", "07 12 34 56", "2250707123456", "from before 2021"),
    Case("phone", "CI", "07 12 34 56 78", "2250712345678"),
    Case("phone", "US", "555-0123", Reason.BAD_PHONE, "without its area code"),
    Case("phone", "DE", "12345678901234567890", Reason.BAD_PHONE),
]

RENUMBERED = [
    *(
        Case("phone", None, sent, "525512345678")
        for sent in (
            *("+52 1 55 1234 5678", "+52 044 55 1234 5678", "52 (045) 55 1234-5678"),
            *("5201 5512345678", "00 52 1 5512345678", "5215512345678@c.us", "525512345678"),
        )
    ),
    Case("phone", None, "+229 97 12 34 56", "2290197123456"),
    Case("phone", None, "22921301234", "2290121301234", "a landline"),
    Case("phone", None, "2290197123456", "2290197123456"),
    *(
        Case("phone", None, f"+225 {old}", f"225{new}{old}")
        for old, new in (
            *(("01234567", "01"), ("42345678", "01"), ("53123456", "01"), ("70123456", "01")),
            *(("04123456", "05"), ("45123456", "05"), ("66123456", "05"), ("84123456", "05")),
            *(("07123456", "07"), ("48123456", "07"), ("79123456", "07"), ("87123456", "07")),
            *(("20212345", "27"), ("31634567", "27"), ("20001234", "25"), ("30012345", "25")),
            ("22812345", "21"),
        )
    ),
    *(Case("phone", None, f"225{old}", Reason.BAD_PHONE) for old in ("80012345", "90512345")),
    Case("phone", None, "2250712345678", "2250712345678"),
]

OTHER_THAN_NUMBERS = [
    Case("rcs", None, "68849", "68849"),
    Case("sms", "US", "68849", "68849"),
    Case("sms", "DE", "68849", "68849"),
    Case("sms", None, "sms:68849", "68849"),
    Case("sms", None, "123", "123"),
    Case("sms", None, "12345678", "12345678"),
    Case("sms", "SG", "91234567", "6591234567", "a number of the region"),
    Case("sms", None, "12", Reason.BAD_PHONE),
    Case("sms", None, "+68849", Reason.BAD_PHONE, "+ means a country code"),
    Case("sms", None, "123456789", Reason.BAD_PHONE),
    Case("phone", None, "68849", Reason.BAD_PHONE, "only text messages have short codes"),
    Case("whatsapp", None, "68849", Reason.BAD_PHONE),
    Case("rcs", None, "My Shop_2.0", "My Shop_2.0"),
    Case("sms", None, "A&B-1", "A&B-1"),
    Case("sms", None, "ABCDEFGHIJKL", Reason.BAD_PHONE, "12 characters"),
    Case("sms", None, "S\u0421HOP", Reason.BAD_PHONE, "U+0421"),
    Case("sms", None, "Shop!", Reason.BAD_PHONE),
    Case("sms", None, "&-_.", Reason.BAD_PHONE, "no letter"),
    Case("phone", None, "SUPPORT", Reason.BAD_PHONE),
    Case("whatsapp", None, "US.13491208655302741918", "US.13491208655302741918"),
    Case("whatsapp", None, "US.15105553344", "US.15105553344", "digits like a number's"),
    Case("viber", None, "01234567890A=", "01234567890A="),
    Case("viber", None, "447700900401Ab+c/dEf==", "447700900401Ab+c/dEf=="),
    Case("whatsapp", None, "447700900401:12@lid", "447700900401:12@lid"),
    Case("whatsapp", None, "447700900401-1500000000@g.us", "447700900401-1500000000@g.us"),
    *(
        Case(kind, None, sent, Reason.BAD_PHONE)
        for kind in ("whatsapp", "viber")
        for sent in (
            *("447700900401 work", "+44 7700 900401 (Bob)", "447700900401, Bob"),
            *("\u0442\u0435\u043b.447700900401", "Bob-447700900401", "447700900401 \u260e a"),
            *("447700900401 - Bob", "447700900401: Bob", "Bob 447700900401", "Bob: +447700900401"),
            *("447700900401work", "447700900401 ext 5", "447700900401;ext=5", "447700900401x12"),
            *("447700900401@s.whatsapp.net (work)", "447700900401 @bob", "@447700900401"),
            *("https://wa.me/447700900401?text=hi", "whatsapp://send?phone=447700900401"),
            *("447700900401\u00b2", "44770090040\u00b2", "447700900401!", "@", "@@"),
        )
    ),
    *(
        Case(kind, None, sent, sent)
        for kind in ("telegram", "instagram", "twitter", "x", "tiktok")
        for sent in ("@Alice_Doe", "Alice_Doe", "alice doe", "@@a")
    ),
]

EMAILS = [
    *(
        Case("email", None, sent, expected)
        for sent, expected in (
            ("\u2003\talice@example.com\r\n", "alice@example.com"),
            ("\u200ealice@example.com\ufeff", "alice@example.com"),
            ("ali\u200bce@exam\u00adple.com", "alice@example.com"),
            ("ali\u200dce@exa\u200dmple.com", "alice@example.com"),
            ("alice@example.com\ufe0f", "alice@example.com"),
            ("mailto:Alice@Example.COM", "Alice@example.com"),
            ("MAILTO: alice@example.com", "alice@example.com"),
            ("Support@Example.com", "Support@example.com"),
            ("a@xn--fa-hia.de", "a@fa\u00df.de"),
            ("a@FA\u1e9e.de", "a@fa\u00df.de"),
            ("a@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com", "a@example.com"),
            ("a@b\u3002example", "a@b.example"),
            ("a@bu\u0308cher.example", "a@b\u00fccher.example"),
            (f"a@{PERSIAN}.com", f"a@{PERSIAN}.com"),
            ("a@\u0dc1\u0dca\u200d\u0dbb\u0dd3.com", "a@\u0dc1\u0dca\u200d\u0dbb\u0dd3.com"),
            ("a@\u0646\u0627\u0645\u0647\u200c\u200c\u0627\u06cc.com", f"a@{PERSIAN}.com"),
            ("\u039d\u03af\u03ba\u03bf\u03c2@\u03bd\u03b9\u03ba\u03bf\u03c2.gr",) * 2,
            ("a@\u03bd\u03b9\u03ba\u03bf\u03c3.gr",) * 2,
            ("taro..yamada@docomo.ne.jp",) * 2,
            ("taro.@DoCoMo.ne.jp", "taro.@docomo.ne.jp"),
            ("t..a..r..o..@ezweb.ne.jp",) * 2,
            ("taro.@t.vodafone.ne.jp",) * 2,
            ("taro..y@softbank.ne.jp",) * 2,
        )
    ),
    *(
        Case("email", None, sent, Reason.BAD_EMAIL, because)
        for sent, because in (
            ("alice\u00a0b@example.com", "U+00A0"),
            ("alice\u2028b@example.com", "U+2028"),
            ("alice\x07@example.com", "U+0007"),
            ("alice@exa\u00b2mple.com", "U+00B2"),
            ("\u0308alice@example.com", "U+0308"),
            ("al\ue000ice@example.com", "U+E000"),
            ("\u200b" * 2000 + "alice@example.com", ""),
            ("a@ma\u017fs.de", "U+017F"),
            ("alice\uff20example.com", "U+FF20"),
            ("taro..yamada@example.ne.jp", ""),
            ("taro.@gmail.com", ""),
            ("taro..y@docomo.ne.jp.example.com", ""),
            ("taro.@notdocomo.ne.jp", ""),
            (".taro@docomo.ne.jp", ""),
            ("..@docomo.ne.jp", ""),
            ("a@\u0661.com\u0627..gr", ""),
            ("a@1.\u05d0\u05d1.com", ""),
            ("a@xn--zzzz.com", ""),
            ("a@ab--cd\u00e4.de", ""),
            ("a@-\u00e4.de", ""),
            ("a@" + "\u00e4" * 63 + ".de", ""),
            ("a@\u2764.ws", "U+2764"),
            ("mailto:", ""),
            ("mailto:a@example.com?subject=x", ""),
        )
    ),
]

MORE = [
    *CLEANED,
    *AROUND_A_NUMBER,
    *TWO_IN_ONE,
    *SPREADSHEETS,
    *IN_A_REGION,
    *RENUMBERED,
    *OTHER_THAN_NUMBERS,
    *EMAILS,
]
