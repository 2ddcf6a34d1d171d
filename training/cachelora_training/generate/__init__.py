"""Triplets from raw questions: a language model or rules write the positive and the near miss.

| file | subject |
|---|---|
| `queries.py` | raw questions from a file |
| `plan.py` | which question gets which kind of near miss, before anything is asked |
| `prompt.py` | what the model is told, and the form of its answer |
| `requests.py` | what is asked and what comes back, whoever answers |
| `backends.py` | who answers: servers, a model in this process, or rules |
| `endpoints.py` | many requests in flight to OpenAI-compatible servers, of which some may fail |
| `server.py` | one such server: how it wants to be asked, what its failures mean |
| `offline.py` | a model in this process, by vLLM |
| `pace.py` | rate and tokens while a run is under way |
| `rules.py` | near misses by minimal edits, without any model |
| `rule_words.py` | the words that rules exchange, and where |
| `journal.py` | every answer is kept as it arrives, so that a killed run repeats no request |
| `filters.py` | which answers become triplets; every refusal is counted |
| `run.py` | all of it in order |
| `commands.py` | `cachelora generate` |
"""
