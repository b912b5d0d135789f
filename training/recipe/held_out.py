"""Draw the lists of core words that nothing is trained on. Run once, before any training; the lists are committed."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import sentences

SEED = 20_000
SENTENCES, ORDERS = 200, 50


def draw_lists() -> dict[str, list[str]]:
    """Name of a list -> its lines."""
    rng = random.Random(SEED)
    shown = set((sentences.LISTS / "demo_sentences.txt").read_text(encoding="utf-8").splitlines())
    return {
        "unseen_sentences": _distinct(lambda: sentences.grammatical(rng).replace(",", ""), SENTENCES, shown),
        "unseen_orders": _distinct(lambda: sentences.shuffled(rng).replace(",", ""), ORDERS, shown),
    }


def _distinct(draw: Callable[[], str], count: int, without: set[str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        text = draw()
        if text not in without and len(text.split()) > 1:
            found.setdefault(text)
    return list(found)


if __name__ == "__main__":
    for name, lines in draw_lists().items():
        (sentences.LISTS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
