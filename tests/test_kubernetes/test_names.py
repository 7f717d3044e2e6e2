import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_kubernetes.names import label_value, object_name

LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@pytest.mark.parametrize("text", ["orders", "f1d2c3b4-0000-4000-8000-000000000000", "a.b_c", "x" * 63])
def test_label_value_keeps_valid_text(text):
    assert label_value(text) == text


@given(st.text(max_size=200))
def test_label_value_is_always_valid(text):
    assert re.fullmatch(LABEL, label_value(text))


@given(st.text(max_size=80), st.text(max_size=80))
def test_label_value_differs_for_different_text(first, second):
    assert (label_value(first) == label_value(second)) == (first == second)


@given(st.text(max_size=200))
def test_object_name_is_always_valid(text):
    assert re.fullmatch(NAME, object_name(text, "0123456789", "12", "abcdef"))
