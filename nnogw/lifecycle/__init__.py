"""From settings to a running process: what it is made of, how it starts, serves, drains and ends."""
