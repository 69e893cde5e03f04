"""Benchmarks of denseup against what one would use without it: see README.md in this folder."""
