"""One module per command, with the name that is typed; `batchgen.cli` imports it on first use."""
