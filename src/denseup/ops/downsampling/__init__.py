"""Content-aware down-sampling, the counterpart of reassembly."""
