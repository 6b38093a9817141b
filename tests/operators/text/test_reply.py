import pytest

from engine.errors import UsageError
from engine.payloads import Json, Text
from operators.text.reply import RuleReply

RULES = [
    {
        "pattern": r"turn (?P<state>on|off) the (?P<room>[a-z ]+) light",
        "reply": "The {room} light is {state}.",
    },
    {"pattern": "(?i)what time is it", "reply": "It is {{noon}}."},
    {"pattern": "light", "reply": "Which light?"},
]


@pytest.mark.parametrize(
    ("heard", "reply"),
    [
        ("please turn on the living room light now", "The living room light is on."),
        ("What TIME is it", "It is {noon}."),
        ("the light", "Which light?"),
        ("", "Sorry?"),
        ("something else", "Sorry?"),
    ],
)
def test_the_first_rule_that_is_found_replies(drive, heard, reply):
    assert drive(RuleReply(rules=RULES, fallback="Sorry?")).run([Text(heard)]) == [Text(reply)]


def test_without_a_fallback_it_stays_silent(drive):
    assert drive(RuleReply(rules=RULES)).run([Text("something else")]) == []


def test_language_and_channel_are_kept(drive):
    (reply,) = drive(RuleReply(rules=RULES)).run([Text("light", "en", "ui")])
    assert (reply.language, reply.channel) == ("en", "ui")


def test_a_group_that_took_no_part_is_empty(drive):
    rule = {"pattern": r"hi(?: (?P<name>\w+))?", "reply": "Hi {name}!"}
    assert drive(RuleReply(rules=[rule])).run([Text("hi")]) == [Text("Hi !")]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("a(b", "x"), r"rules\.0: .*'a\(b' is no regular expression: .* at position 1"),
        (("a", "{name}"), r"asks for \{name\}, but the pattern's groups are: none"),
        (("(?P<b>a)", "{c}"), "groups are: b"),
        (("(?P<b>a)", "{b.__class__}"), "asks for"),
        (("(?P<b>a)", "{b!r}"), "without : or !"),
        (("(?P<b>a)", "{b:>9}"), "without : or !"),
        (("a", "{}"), "asks for"),
        (("a", "{"), "is no template"),
    ],
)
def test_a_wrong_rule_is_refused_before_anything_runs(rule, message):
    pattern, reply = rule
    with pytest.raises(UsageError, match=message):
        RuleReply(rules=[{"pattern": pattern, "reply": reply}])


def test_other_payloads_pass_through(drive, make_packet):
    packet = make_packet(Json("light"))
    assert drive(RuleReply(rules=RULES)).feed(packet) == [packet]
