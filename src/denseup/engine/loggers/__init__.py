"""Where a run is logged, and how what it logged offline is read again."""
