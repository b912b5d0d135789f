"""A diagnosis as text for a terminal."""

from __future__ import annotations

from textwrap import fill

from omniggml.doctor.finding import Diagnosis, Finding

_WIDTH = 110


def text_report(found: Diagnosis) -> str:
    """The verdict in the first line, then every finding with what it means and what to do."""
    lines = [f"{found.exit_code.word}: {found.verdict}", ""]
    for finding in found.findings:
        lines += [*_lines(finding), ""]
    if found.next_question:
        lines += [fill(f"next: {found.next_question}", _WIDTH, subsequent_indent="  "), ""]
    lines.append(f"checked: {', '.join(found.checked)}")
    lines += [fill(f"could not be done: {why}", _WIDTH, subsequent_indent="  ") for why in found.failed]
    lines += [fill(f"not checked: {why}", _WIDTH, subsequent_indent="  ") for why in found.skipped]
    return "\n".join(lines)


def _lines(finding: Finding) -> list[str]:
    return [
        f"[{finding.severity.value}] {finding.id}",
        *(
            fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
            for text in (finding.sentence, finding.kind.meaning, f"What to do: {finding.kind.remedy}")
        ),
    ]
