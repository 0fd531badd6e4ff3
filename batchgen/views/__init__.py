"""What people and programs see of a batch: display, log, events file, status, plan."""
