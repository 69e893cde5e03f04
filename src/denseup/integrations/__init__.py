"""denseup's operators in other libraries: a module a library, each imported on demand only."""
