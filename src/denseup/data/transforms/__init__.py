"""Augmentation and compositing: pure functions on arrays, with a random generator where they draw."""
