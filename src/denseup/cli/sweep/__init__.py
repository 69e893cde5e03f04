"""A sweep: every job of a multirun in a process of its own, and the table at the end."""
