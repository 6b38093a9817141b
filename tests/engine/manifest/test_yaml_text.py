"""YAML text: what it means, what is refused, and where it says that is."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.manifest.limits import ManifestLimits
from engine.manifest.yaml_text import looks_like_yaml, parse_yaml
from engine.manifest.yaml_values import YamlTextError

LIMITS = ManifestLimits()


def parse(text, **limits):
    return parse_yaml(text, ManifestLimits(**limits))


def error_of(text, **limits):
    with pytest.raises(YamlTextError) as caught:
        parse(text, **limits)
    return str(caught.value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A surrogate is no text, and the library cannot write down everything it can read.
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufeff")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcy01_-. :#'\"", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


class TestMeaning:
    @given(VALUES)
    def test_json_values_written_as_yaml_come_back(self, value):
        assert parse(yaml.safe_dump(value, allow_unicode=True)) == value
        assert parse(yaml.safe_dump(value, default_flow_style=True)) == value

    @pytest.mark.parametrize(
        "text",
        [
            "on",
            "off",
            "yes",
            "No",
            "y",
            "1:30",
            "190:20:30",
            "2025-11-05",
            "2025-11-05T10:30:00Z",
            "007",
            "08",
            "1_000",
            "0b11",
            "v1",
            "1.2.3",
            "+",
            "-x",
            ".",
            "..",
            "1e",
            "0x",
            "0o8",
            "=",
            "<<x",
            "nul",
            "NaN",
            "inf",
            "٣",
        ],
    )
    def test_what_yaml_1_1_makes_something_else_of_is_text(self, text):
        assert parse(f"value: {text}") == {"value": text}
        assert parse(f"[{text}]") == [text]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[(word, None) for word in ("", "~", "null", "Null", "NULL")],
            *[("true", True), ("True", True), ("FALSE", False)],
            *[("0", 0), ("-17", -17), ("+3", 3), ("0x1F", 31), ("0o17", 15)],
            *[("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("6.02E+23", 6.02e23)],
            *[("'5'", "5"), ('"true"', "true"), ("! 5", "5"), ("!!str 5", "5"), ("!!int 5", 5)],
            *[("!!float 5", 5.0), ("!!int '7'", 7), ("!!null ''", None), ("!!bool True", True)],
        ],
    )
    def test_what_is_no_text(self, text, value):
        found = parse(f"value: {text}")["value"]
        assert (found, type(found)) == (value, type(value))

    def test_keys_are_text_as_they_were_written(self):
        text = "1: a\non: b\nnull: c\n2025-11-05: d\n0x10: e\n!!str 7: f\n'q': g"
        assert list(parse(text)) == ["1", "on", "null", "2025-11-05", "0x10", "7", "q"]

    def test_an_alias_is_what_its_anchor_is(self):
        parsed = parse("a: &a {x: [1]}\nb: *a\n&k key: 1\nc: *k\nd: &t text\ne: *t")
        assert parsed == {
            "a": {"x": [1]},
            "b": {"x": [1]},
            "key": 1,
            "c": "key",
            "d": "text",
            "e": "text",
        }

    def test_mappings_are_merged_the_nearer_ones_counting(self):
        text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\n  w: 3"
        assert parse(text)["c"] == {"z": 3, "w": 3, "x": 1, "y": 1}
        assert parse("a: &a {x: 1}\nb: {<<: *a, x: 2}")["b"] == {"x": 2}
        assert parse("'<<': 1") == {"<<": 1}

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "---", "---\n...", "\ufeff"])
    def test_an_empty_text_is_none(self, text):
        assert parse(text) is None

    def test_what_may_stand_around_a_document(self):
        assert parse("\ufeff%YAML 1.2\n# remark\n---\na: 1\n...\n# end\n") == {"a": 1}


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice; it stands in line"),
            ("n:\n  - {x: 1, x: 2}", "line 2, column 12: the key 'x' is there twice"),
            ("1: a\n'1': b", "the key '1' is there twice; it stands in line 1 already"),
            ("<<: {a: 1}\n<<: {b: 1}", "the key '<<' is there twice"),
            ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins; a manifest is one"),
            ("a: 1\n...\n---\nb: 2", "line 3, column 1: a second document begins"),
            ("a:\n\tb: 1", "line 2, column 1: a tab cannot indent YAML; indent with spaces"),
            ("\ta: 1", "line 1, column 1: a tab cannot indent YAML"),
            ("a: @x", "line 1, column 4: put a text that begins with @ in quotes"),
            ("a: %x", "put a text that begins with % in quotes"),
            ("a: b: c", "put a text with ': ' in it in quotes"),
            ("a: 'x", "a quote is not closed"),
            ("a: [1, 2\nb: 3", "a bracket is not closed, or a comma is missing"),
            ("a:\n - b\n : c", "line 3, column 2: did not find expected '-' indicator; check the"),
            ("x: {a: 1\ny: 2}", "(inside what began in line 1)"),
            ("{a: 1, : 2}", "a key or a value is missing before it"),
            ("a: .inf", "line 1, column 4: .inf is not a JSON value"),
            ("a: -.INF", "-.INF is not a JSON value"),
            ("a: .nan", ".nan is not a JSON value"),
            ("a: 1e999", "1e999 is larger than any number may be"),
            ("a: " + "9" * 5_000, "a number has more than 4,000 digits"),
            ("? [a]\n: 1", "line 1, column 3: a key must be a text"),
            ("? {a: 1}\n: 1", "a key must be a text"),
            (": 1", "line 1, column 1"),
            ("?\n: 1", "a key is missing before the colon"),
            ("a: &x 1\n*x : 2", "a key must be a text"),
            ("a: *b", "line 1, column 4: the alias *b names nothing that comes before it"),
            ("a: &a [*a]", "the alias *a stands inside what it names"),
            ("<<: 3", "<< takes a mapping, or a list of mappings"),
            ("<<: [1]", "<< takes a mapping"),
            ("a: !!int x", "'x' is no int"),
            ("a: !!int true", "'true' is no int"),
            ("a: !!map [1]", "the tag !!map is not taken"),
            ("!!int 3: a", "the tag !!int is not taken"),
            ("a: \x07", "the character U+0007 is not allowed"),
            ("a: \ud800", "is not valid YAML"),
            ("%YAML 9.0\n---\na: 1", "is not valid YAML: line 1, column 1"),
        ],
    )
    def test_with_the_place(self, text, words):
        assert words in error_of(text)

    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object/apply:os.system",
            "!!python/name:os.system",
            "!!timestamp",
            "!!binary",
            "!!set",
            "!!omap",
            "!mine",
            "!<tag:example.com,2000:x>",
        ],
    )
    def test_no_tag_makes_anything_else(self, tag):
        assert "line 2, column 4: the tag" in error_of(f"x: 1\na: {tag} 'true'")
        assert "is not taken: a manifest has the values JSON has" in error_of(f"{tag} {{a: 1}}")


class TestBounds:
    def test_an_alias_costs_what_it_unfolds_to(self):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in range(1, 30):
            inner = ", ".join([f"*a{level - 1}"] * 10)
            lines.append(f"a{level}: &a{level} [{inner}]")
        assert "unfolds to more than 500,000 values" in error_of("\n".join(lines))

    def test_merging_costs_what_it_merges(self):
        text = "a: &a {x: 1, y: 2}\nb:\n" + "".join(f"- {{<<: *a, n: {n}}}\n" for n in range(100))
        assert "unfolds to more than 400 values" in error_of(text, values_max=400)
        assert parse(text)["b"][99] == {"n": 99, "x": 1, "y": 2}

    def test_values_are_counted_exactly(self):
        text = "a: &a [1, 2]\nb: *a"  # a, its 2 values; b and the same 2
        assert parse(text, values_max=6)
        assert error_of(text, values_max=5)

    @pytest.mark.parametrize("written", ["[" * 70 + "]" * 70, "- " * 70 + "x", "{a: " * 70])
    def test_depth_is_bounded_while_it_grows(self, written):
        assert "nested more than 64 levels deep" in error_of(written)

    def test_depth_is_bounded_through_aliases(self):
        lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
        assert "nested more than 64 levels deep" in error_of("\n".join(lines))
        assert parse("\n".join(lines[:62]))
        assert parse("[" * 64 + "]" * 64)

    @pytest.mark.parametrize(
        "text", ["[" * 1_000_000, "? " * 500_000, "- " * 500_000, "&a " * 300_000, "{" * 1_000_000]
    )
    def test_a_large_text_that_says_nothing_is_refused(self, text):
        assert error_of(text)


@pytest.mark.parametrize(
    ("text", "is_yaml"),
    [
        ("version: v1", True),
        ("\n# remark\nversion: v1", True),
        ("\ufeffversion: v1", True),
        ("---\nversion: v1", True),
        ("%YAML 1.1\n---\n", True),
        ("'version': v1", True),
        ('"version" : v1', True),
        ("nodes:\n- a", True),
        ("", False),
        ("# only a remark", False),
        ("pipelines/voice.yaml", False),
        ("C:\\pipelines\\voice.json", False),
        ("https://example.com/x.json", False),
        ("- a", False),
        ("{version: v1}", False),
        ("hello", False),
    ],
)
def test_a_text_that_looks_like_yaml(text, is_yaml):
    assert looks_like_yaml(text) is is_yaml
