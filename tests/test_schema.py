"""Files that are read back are held to their type: the field that is wrong is named, in one line."""

from contextlib import suppress
from typing import Any, get_type_hints

import pytest

from ramnp import schema
from ramnp.errors import UsageError
from ramnp.files import read_json

GOOD = {"config": {}, "limit_batches": None, "earlier_machines": ["one", None]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit_batches": 0}, "its limit_batches is 0, not at least 1"),
        ({"limit_batches": "3"}, 'its limit_batches is "3", not a whole number'),
        ({"limit_batches": True}, "its limit_batches is true, not a whole number"),
        ({"config": []}, "its config is [], not an object"),
        ({"earlier_machines": [1]}, "its earlier_machines[0] is 1, not text"),
        ({"earlier_machines": {}}, "its earlier_machines is {}, not a list"),
    ],
    ids=str,
)
def test_the_wrong_field_is_named(changes, said):
    schema.check(GOOD, schema.RunConfigFile)
    with pytest.raises(schema.SchemaError) as caught:
        schema.check(GOOD | changes, schema.RunConfigFile)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("value", "kind"),
    [(float("nan"), float), (float("inf"), float), (10**400, float), (1.0, int), (True, float), (None, str)],
)
def test_values_that_are_no_such_number_or_text(value, kind):
    with pytest.raises(schema.SchemaError):
        schema.check(value, kind)


def test_a_whole_number_passes_as_a_float():
    schema.check(3, float)
    schema.check([1, 2.5], list[float])


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 60 + "1" + "}" * 60,
        "[" * 10**6,
        '{"a":' * 10**6,
        "[" * 60 + "]" * 60,
        "9" * 10**6,
        "\0",
        "",
        '"\\ud800',
    ],
)
def test_text_that_is_no_json_or_too_deep(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=r"a\.json cannot be used: it is ") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", [schema.Meta, schema.RunConfigFile, schema.Metrics, schema.Result, schema.Best, schema.Epoch]
)
def test_every_field_is_held_to_its_type(kind):
    for name, field in get_type_hints(kind).items():  # without ranges, and without NotRequired
        for value in ([[[]]], {"a": {"a": [[]]}}):
            with suppress(schema.SchemaError):
                schema.check(value, field, name)
                assert field == dict[str, Any] or field == dict[str, Any] | None
