"""One module a command, each named as it is typed; `batchgen.cli` imports it when it is asked for."""
