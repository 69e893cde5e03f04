"""Augmentation and compositing.

`compositing.py` has pure functions on arrays, `pipeline.py` what a step is and how steps follow one another,
`streams.py` their random numbers, `geometry.py` what both recipes share. `matting/` and `segmentation/` are the two
recipes: an order of small steps each.
"""
