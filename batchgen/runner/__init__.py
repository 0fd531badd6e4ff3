"""From the queue to the checked file: how a batch is run.

Reading order: `session` (a batch, held by this process), `opening` and `connect` (its parts with I/O), `assembly`
(which joins them), `dispatcher` (the run and its ending), `work` (who hands out clips), `worker` (one clip's life),
then its steps. `submit` pays, with `admission` (whether it may now), `gates` (shutdown, budget, age) and
`trouble_gates` (account, service); `collect` waits for the end, with `outcomes` (what answers mean) and
`history_lookup`; `cross_check` asks record and history before either sends again; `fetch` gets the file, with
`file_hosts` (whether its host is in trouble). Around them: `context` (what they share), `recovery_check` (before a
rebuilt ledger submits), `alerts` (warnings of a loss),
`steering` (pause and stop from another process) and `shutdown` (how a run ends early).
"""
