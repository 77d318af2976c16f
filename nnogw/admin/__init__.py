"""The operator's side: a listener of its own, never the public one."""
