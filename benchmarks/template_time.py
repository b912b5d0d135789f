"""How long a chat template takes: to start its process, the first time, and every time after."""

from __future__ import annotations

import statistics
import time

from omniggml.synthetic.small_tokenizer import CHAT_TEMPLATE
from omniggml.text.chat_template import ChatTemplate

CALLS = 500
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the time?"}]


def main() -> None:
    start = time.perf_counter()
    template = ChatTemplate(CHAT_TEMPLATE)
    started = time.perf_counter()
    template.render(MESSAGES, add_generation_prompt=True)
    first = time.perf_counter()
    took = []
    for _ in range(CALLS):
        before = time.perf_counter()
        template.render(MESSAGES, add_generation_prompt=True)
        took.append(1000 * (time.perf_counter() - before))
    took.sort()
    print(f"starting {1000 * (started - start):.1f} ms, the first {1000 * (first - started):.1f} ms")
    print(f"then {statistics.median(took):.2f} ms in the middle, {took[CALLS * 95 // 100]:.2f} ms for 19 of 20")


if __name__ == "__main__":
    main()
