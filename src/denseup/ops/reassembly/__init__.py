"""Reassembly, its two gradients (one of them is local similarity), and softmax, reassembly and gate in one."""
