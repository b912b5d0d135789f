"""Render a model's chat template, which is a program somebody else wrote, within bounds.

A template comes out of a model file, so it may be hostile. Jinja's sandbox keeps it away from Python; it doesn't keep
it from looping for hours or building a terabyte, and no counting of operations inside of the interpreter does. So it
runs in a process of its own, which the system bounds (`template_process`). Where there is none to be had, only
templates made of few constructs are rendered, which can be bounded here (`bounded_template`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omniggml.errors import InputError, ModelFileError, OmniError
from omniggml.text import template_process
from omniggml.text.plain_messages import as_json
from omniggml.text.template_process import NoProcessError

_SENTENCES = {
    "invalid": "the model's chat template is not valid: ",
    "failed": "the model's chat template failed: ",
    "stopped": "the model's chat template was stopped: ",
    "refused": "the model's chat template refuses these messages: ",
}


class ChatTemplate:
    """A chat template, ready to render; safe to share between threads and by forked processes."""

    def __init__(self, source: str) -> None:
        """Keep the Jinja source. The process that renders is started, not awaited."""
        self.source = source
        template_process.prepare()

    def render(self, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """The prompt text for `messages`, each a mapping with `role` and `content`.

        `variables` are the template's other names, such as `add_generation_prompt`. Raises ModelFileError when the
        template is not valid, fails, or passes a bound, and InputError when it refuses the messages itself or they are
        not made of texts, numbers, lists and mappings.
        """
        given = as_json({"messages": list(messages), **variables})
        try:
            status, text = template_process.render(self.source, given)
        except NoProcessError:
            from omniggml.text.bounded_template import render

            status, text = render(self.source, json.loads(given))
        if status == "text":
            return text
        raise _error(status)(_SENTENCES[status] + text)


def _error(status: str) -> type[OmniError]:
    return InputError if status == "refused" else ModelFileError
