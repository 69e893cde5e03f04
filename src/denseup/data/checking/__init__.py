"""What is wrong or suspicious about files, found before training."""
