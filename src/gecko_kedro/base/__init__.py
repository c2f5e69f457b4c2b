"""What every room stands on: errors, files, digests, shards, progress, memory, events."""
