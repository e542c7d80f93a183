"""Verdicts on claims: when to look, what the seeds of a look say, and what was said before.

Pure functions on plain numbers: no suite, no record, no board, no clock. `looks` says on which seeds a claim is judged,
`interval` what they tell of a mean, `verdict` what that answers, `multiplicity` what many answers are worth together,
`planning` which seeds to run next, `history` what was answered before. `null_path` calibrates the levels of the looks,
`coverage` measures how often the intervals miss. `docs/statistics.md` explains all of it.
"""
