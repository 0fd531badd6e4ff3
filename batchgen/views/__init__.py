"""What people and programs see of a batch. Pure text and objects; nothing here decides.

Reading order: `text` (numbers, times, columns) and `streams` (output that may go away). A batch at rest: `facts`
(collected from the ledger), `status`, with its parts `doubts` (unconfirmed and lost clips), `retention` (what can
still be downloaded), `kept` (flags and bad copies), `learned` and `learned_facts` (what was measured); `plan` and
`plan_steps`; `bill`; `export`. A run: `progress` (the live display as text), `painter` (shows it on a terminal), `log`
(plain lines), `events_file` (events.jsonl).
"""
