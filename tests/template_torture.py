"""Hostile chat templates: attacks by name, and templates grown from a grammar of everything that multiplies.

`python tests/template_torture.py --templates 2000 --log FILE` renders them all, each in bounds of time and memory, and
writes a line of JSON for each. It ends with 1 where one passed a bound or failed in another way than by a sentence.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

from omniggml.errors import OmniError
from omniggml.text.chat_template import ChatTemplate
from omniggml.text.template_process import LONGEST_WAIT

LONGEST = LONGEST_WAIT + 10
"""Seconds for one template, with what it takes to end and start a process on a busy machine."""

MOST_GROWTH = 300 << 20
"""Bytes by which this process may grow in all: messages and answers pass through it."""

_TEXT = '{% set s = "a" * 4000000 %}'
_LISTS = (
    "{% set ns = namespace(a=[1, 1], b=[1, 1]) %}{% for i in range(60) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)

ATTACKS: dict[str, str] = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "doubling by ~": '{% set s = "aaaaaaaa" %}' + "{% set s = s ~ s %}" * 60,
    "doubling by +": '{% set s = "aaaaaaaa" %}' + "{% set s = s + s %}" * 60,
    "doubling by set": '{% set s = "aaaaaaaa" %}' + "{% set s %}{{ s }}{{ s }}{% endset %}" * 60,
    "squares": "{% set x = 2 %}" + "{% set x = x * x %}" * 60 + "{{ x }}",
    "power": "{{ 9 ** 9 ** 9 ** 9 }}",
    "replace": _TEXT + '{{ s.replace("a", s) }}',
    "replace filter": _TEXT + '{{ s|replace("a", s) }}',
    "join": _TEXT + "{{ s.join(range(1000)|map('string')) }}",
    "join filter": _TEXT + "{{ range(1000)|join(s) }}",
    "list": _TEXT + "{{ [s] * 1000000 }}",
    "list to text": _TEXT + "{{ ([s] * 1000000)|string }}",
    "list to JSON": _TEXT + "{{ ([s] * 1000000)|tojson }}",
    "output": _TEXT + "{% for i in range(100000) %}{{ s }}{% endfor %}",
    "repetition": '{{ "a" * 10**9 }}',
    "center": '{{ "a".center(10**9) }}',
    "center filter": '{{ "a"|center(10**9) }}',
    "percent": '{{ "%999999999d" % 1 }}',
    "format": '{{ "{:>999999999}".format(1) }}',
    "to_bytes": "{{ (1).to_bytes(10**11) }}",
    "lipsum": "{{ lipsum(10**9) }}",
    "comparing doubling lists": _LISTS + "{{ ns.a == ns.b }}",
    "ordering doubling lists": _LISTS + "{{ [ns.a, ns.b]|sort }}",
    "membership in doubling lists": _LISTS + "{{ ns.a in [ns.b] }}",
    "printing doubling lists": _LISTS + "{{ ns.a }}",
    "many texts of one": _TEXT + "{{ ([s] * 100000)|map('upper')|list|length }}",
    "lazy filters": "{{ range(99999)|map('string')|select('equalto', 'x')|list }}",
    "sum": "{{ range(99999)|sum }}",
    "batch": "{{ range(99999)|batch(1)|list }}",
    "product": "{{ range(10000)|list|map('string')|join|urlize }}",
    "indent": "{{ ('\\n' * 100000)|indent(10**6) }}",
    "hashing": "{% set d = {} %}{% for i in range(99999) %}{% set _ = d.get(('a' * 10000, i)) %}{% endfor %}",
    "date": '{{ strftime_now("%999999999d") }}',
    "classes": "{{ ''.__class__.__mro__ }}",
    "attr": "{{ ''|attr('__class__') }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "init": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "format string": "{{ '{0.__class__}'.format(messages) }}",
    "mutation": "{{ messages.append(1) }}",
    "include": '{% include "/etc/hostname" %}',
    "import": '{% import "os" as os %}',
    "syntax": "{% if %}",
    "division": "{{ 1 / 0 }}",
    "nothing": "{{ nothing.at.all }}",
    "parentheses": "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "brackets": "{{" + "[" * 500 + "]" * 500 + "}}",
    "nested loops": "{% for a in [1] %}" * 60 + "{% endfor %}" * 60,
    "nested ifs": "{% if 1 %}" * 900 + "{% endif %}" * 900,
    "long expression": "{{ " + "1 + " * 20000 + "1 }}",
    "many blocks": "".join(f"{{% block b{i} %}}{{% endblock %}}" for i in range(3000)),
    "surrogates": "{{ '\\ud800' * 10 }}",
    "zero bytes": "{{ '\\x00' * 1000000 }}",
    "raising at length": "{{ raise_exception('x' * 3000000) }}",
    "exit": "{{ namespace.__class__.__init__.__globals__['sys'].exit() }}",
    "random": "{{ range(10**18)|random }}",
    "slices": "{{ ('a' * 10**7)[::-1] ~ ('b' * 10**7)[:10**9] }}",
    "groupby": "{{ range(99999)|groupby('real')|list|length }}",
    "wordwrap": "{{ ('a ' * 10**6)|wordwrap(1) }}",
    "striptags": "{{ ('<' * 100000)|striptags }}",
    "pprint": _LISTS + "{{ ns.a|pprint }}",
    "tojson of doubling lists": _LISTS + "{{ ns.a|tojson }}",
    "cycles": "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns.a }}",
}  # fmt: skip

_VALUES = (
    "s", "l", "d", "1", "0", "-1", "10**6", "2**70", "'x'", "''", "[]", "none", "true", "messages", "range(99999)",
    "range(50)", "ns", "ns.v", "1.5", "s[:3]", "l[0]", "messages[0].content", "nothing", "'é\\n'", "loop",
)  # fmt: skip
_FILTERS = (
    "upper", "list", "string", "join", "join(s)", "map('upper')", "map('string')", "sort", "unique", "sum", "length",
    "tojson", "replace('a', s)", "indent(1000)", "center(10**6)", "batch(2)", "slice(10**6)", "reverse", "first",
    "last", "random", "groupby(0)", "select", "reject", "trim", "title", "wordcount", "urlencode", "escape",
    "pprint", "items",
    "dictsort", "abs", "round", "int", "float", "truncate(5)", "wordwrap(1)", "xmlattr", "format(1)", "default('x')",
    "max", "min", "batch(3)|list", "map('list')|list",
)  # fmt: skip
_OPERATORS = ("+", "*", "~", "-", "%", "//", "/", "**", "==", "<", "in", "and", "or", "is sameas")


def expression(rng: random.Random, depth: int = 0) -> str:
    """Any."""
    kind = rng.randrange(8) if depth < 4 else 0
    if kind <= 1:
        return rng.choice(_VALUES)
    if kind <= 3:
        return f"({expression(rng, depth + 1)} {rng.choice(_OPERATORS)} {expression(rng, depth + 1)})"
    if kind <= 5:
        return f"({expression(rng, depth + 1)})|{rng.choice(_FILTERS)}"
    if kind == 6:
        return f"[{expression(rng, depth + 1)}, {expression(rng, depth + 1)}]"
    return f"({expression(rng, depth + 1)} if {expression(rng, depth + 1)} else {expression(rng, depth + 1)})"


def statement(rng: random.Random, depth: int = 0, in_loop: bool = False) -> str:
    """Any; what leaves a loop only in one, and functions only where they are."""
    kind = rng.randrange(9) if depth < 5 else rng.randrange(4)
    inside = (in_loop and kind == 5) or kind == 4
    inner = "".join(statement(rng, depth + 1, inside) for _ in range(rng.randint(1, 3))) if kind > 3 else ""
    rare = ("{% break %}", "{%- continue -%}") if in_loop else ("{{ m() if m }}", "{{ loop }}")
    made = {
        0: lambda: f"{{{{ {expression(rng)} }}}}",
        1: lambda: f"{{% set {rng.choice(('s', 'l', 'd', 'ns.v'))} = {expression(rng)} %}}",
        2: lambda: "{% set s = s ~ s %}" if rng.random() < 0.5 else "{% set ns.v = [ns.v, ns.v] %}",
        3: lambda: rng.choice(("text", "{# #}", *rare)),
        4: lambda: f"{{% for i in {expression(rng)} %}}{inner}{{% endfor %}}",
        5: lambda: f"{{% if {expression(rng)} %}}{inner}{{% else %}}{inner}{{% endif %}}",
        6: lambda: f"{{% set s %}}{inner}{{% endset %}}",
        7: lambda: (
            f"{{% macro m(a=1) %}}{inner}{{% if a < 9 %}}"
            "{{ m(a + 1) }}{{ m(a + 1) }}{% endif %}{% endmacro %}{{ m() }}"
        ),
        8: lambda: f"{{% filter {rng.choice(('upper', 'indent(9)', 'trim'))} %}}{inner}{{% endfilter %}}",
    }
    return made[kind]()


def grown(seed: int) -> str:
    """A template of its own for each seed."""
    rng = random.Random(seed)
    head = "{% set ns = namespace(v=[1]) %}{% set s = 'aaaa' %}{% set l = [1, 2] %}{% set d = {'a': 1} %}"
    return head + "".join(statement(rng) for _ in range(rng.randint(1, 12)))


def outcome(source: str) -> dict[str, Any]:
    """How a template ends, with seconds and this process's growth."""
    before, start = _memory(), time.monotonic()
    try:
        text = ChatTemplate(source).render([{"role": "user", "content": "hello"}], add_generation_prompt=True)
        result: dict[str, Any] = {"end": "text", "length": len(text)}
    except OmniError as error:
        result = {"end": type(error).__name__, "message": str(error)}
    return {**result, "seconds": round(time.monotonic() - start, 3), "grown": _memory() - before}


def finds(result: dict[str, Any]) -> list[str]:
    """What is wrong with an outcome."""
    wrong = []
    if result["seconds"] > LONGEST:
        wrong.append("time")
    if result["grown"] > MOST_GROWTH:
        wrong.append("memory")
    message = result.get("message", "x")
    if not message or "\n" in message or len(message) > 600:
        wrong.append("message")
    return wrong


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--log", type=Path, required=True)
    args = parser.parse_args()
    cases = {**ATTACKS, **{f"grown {seed}": grown(seed) for seed in range(args.first, args.first + args.templates)}}
    found = 0
    slowest = 0.0
    ends: dict[str, int] = {}
    with args.log.open("w", encoding="utf-8") as log:
        for name, source in cases.items():
            result = outcome(source)
            wrong = finds(result)
            found += bool(wrong)
            slowest = max(slowest, result["seconds"])
            ends[result["end"]] = ends.get(result["end"], 0) + 1
            print(json.dumps({"template": name, "finds": wrong, **result}), file=log, flush=True)
    print(f"{len(cases)} templates, {found} finds; ends: {ends}; slowest {slowest:.1f} s, peak {_memory() >> 20} MiB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
