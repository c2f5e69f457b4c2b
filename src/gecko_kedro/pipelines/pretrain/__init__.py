"""The pretrain pipeline."""
