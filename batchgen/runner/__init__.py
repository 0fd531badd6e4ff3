"""From the queue to the checked file: how a batch is run.

Reading order: `session` (a batch, held by this process), `opening` (its ledger and the way to its service), `assembly`
(which joins the parts of a run), `dispatcher` (the run, one clip's life, and the ending), with `work` (who hands out
clips). Then the steps of a clip: `submit` pays, with `admission` (whether it may now: shutdown, pause, budget, age);
`collect` waits for the end, with `outcomes` (what answers mean); `fetch` gets the file. `context` is what all of them
share, `steering` is pause and stop from another process.

Only trouble leads to: `trouble_gates` (account, service), `file_hosts` (whether a file's host is to blame),
`cross_check` (the request history, before anything is sent again), `doubts` (clips in doubt), `recovery_check` (before
a rebuilt ledger submits) and `alerts` (warnings of a loss).
"""
