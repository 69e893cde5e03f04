"""Map-style data sets, and the random streams of their training samples."""
