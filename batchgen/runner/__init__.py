"""From the queue to the checked file: dispatcher, one clip's life, and how a run ends.

Reading order: `session` (what can be done with a batch), `opening` (its ledger), `connect` (its service) and `assembly`
(the parts of a run, joined); then `dispatcher` (queue and ending), `work`, `worker` (one clip's life), and its steps
`submit` (past `admission` and its `gates`), `collect` and `fetch`. `context` is what the steps share, `shutdown` what
stops them. Clips in doubt: `history_lookup`, `in_doubt`, `recovery_check`. Warnings: `alerts`, `credits`.
"""
