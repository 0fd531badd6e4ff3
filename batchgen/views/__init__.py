"""What people and programs see of a batch. Pure text and objects; nothing here decides.

Reading order: `text` (numbers, times, columns) and `streams` (output that may go away). A batch at rest: `facts`
(collected from the ledger), `status`, with its parts `last_run`, `doubts` (unconfirmed and lost clips), `retention`
(what can still be downloaded), `hours` (when clips may be submitted), `kept` (flags and bad copies), `learned` and
`learned_facts` (what was measured), `next_steps`; `batches` (a line each); `nights` (several that ran one after the
other); `plan`, `plan_steps` and `saved_plan`; `bill`; `export`; `models` (what is known of them); `night_facts`,
`night_charts` and `night_page` (the story of a night as HTML). A run: `progress` (the live display as text), `painter`
(shows it on a terminal), `log` (plain lines), `events_file` (events.jsonl).
"""
