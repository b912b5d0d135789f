"""Options are a dataclass and a TypedDict of the same names and types, which only a test can hold together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from omniggml.options import LoadKeywords, LoadOptions, SpeechKeywords, SpeechOptions


@pytest.mark.parametrize(("options", "keywords"), [(LoadOptions, LoadKeywords), (SpeechOptions, SpeechKeywords)])
def test_dataclass_and_keywords_agree(options: Any, keywords: Any) -> None:
    assert get_type_hints(options) == get_type_hints(keywords)
    assert [field.name for field in fields(options)] == list(get_type_hints(keywords))
