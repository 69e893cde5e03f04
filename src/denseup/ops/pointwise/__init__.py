"""1×1 convolutions that embed features for a kernel generator."""
