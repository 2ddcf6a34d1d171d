"""From raw questions to a calibrated bundle in one command that does only what is left to do.

| file | subject |
|---|---|
| `plan.py` | what is to be made, checked before any work is done |
| `stamps.py` | what a finished stage leaves behind, and whether it still holds |
| `stages.py` | the five stages: what goes in, what comes out, which function does it |
| `results.py` | the measures, written into the adapter's card |
| `run.py` | the stages in order |
| `commands.py` | `cachelora pipeline` |

    OUTPUT/data/NAME.jsonl   generate, once per domain with questions
    OUTPUT/adapter/          train
    OUTPUT/report.json       evaluate
    OUTPUT/bundle/           export, then calibrate
    OUTPUT/stamps/           one stamp a stage

A stage's inputs are named by content, not by time or place: a stage runs again when a byte that it reads is another,
when one of its settings or the version of its package is, or when its output is damaged. What a stage writes is an
input of the next, so a change runs on through all stages that it reaches, and no further.
"""
