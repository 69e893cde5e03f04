"""From files to arrays: decoding, what grey levels and label values mean, and where the files lie."""
