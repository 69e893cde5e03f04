"""Doors into other libraries: each module acts in the library it is named after, and is imported by name only."""
