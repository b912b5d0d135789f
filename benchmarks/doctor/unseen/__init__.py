"""Faults that the doctor's checks were not written for: drawn from grammars, taken from public reports, and frozen.

    python -m benchmarks.doctor.unseen --part vocoder --limit 60

| module | what |
|---|---|
| `port_vocoder`, `vocoder_mistakes` | code2wav as somebody else may have ported it, and every way to err in it |
| `port_talker`, `talker_mistakes` | talker and code predictor, likewise |
| `code_arrangements`, `audio_edits`, `file_faults` | before the vocoder, after it, in GGUF files |
| `reported` | faults of public bug reports, made with the machinery of the above |
| `healthy` | cases in which nothing is wrong |
| `frozen` | the cases, drawn once and written down |
| `grading` | whether a finding names a cause |

Nothing here imports the doctor but for its public function, in `examining`.
"""
