"""Sets that are released in parts, made whole on disk."""
