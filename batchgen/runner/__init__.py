"""From the queue to the checked file: one run, the life of one clip, and how a run ends.

Reading order: `session` (the run, joined from its parts), `dispatcher` (queue and ending), `work` (hands out clips),
`worker` (one clip's life), then its steps `submit`, `collect` and `fetch`. What they share: `context`. What can hold
submissions back: `budget_gate`, `account` (the account's gate), `service_trouble`, `recovery_check`, `credits`. Clips
without an answer: `history_lookup` and `in_doubt`. Around it: `alerts`, `shutdown`, `companion` (two tasks as one).
"""
