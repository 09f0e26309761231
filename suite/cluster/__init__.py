"""The Ray cluster: connection, accelerators, parallel maps, memory."""
