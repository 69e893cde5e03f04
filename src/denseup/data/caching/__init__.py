"""Samples kept on disk: with the maps of a frozen encoder they need not be computed twice."""

from denseup.data.caching.folder import CacheError, Entry, SampleCache, cache_folder
from denseup.data.caching.store import SampleStore, write_store

__all__ = ["CacheError", "Entry", "SampleCache", "SampleStore", "cache_folder", "write_store"]
