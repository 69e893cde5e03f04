"""The embedded demo set: its files, and the two data sets made of them."""
