"""The Ray cluster: connection, accelerators, maps over shards, memory."""
