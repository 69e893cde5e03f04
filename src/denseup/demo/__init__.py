"""A local page: drop a picture, brush what is known of it, see what networks make of it, side by side."""
