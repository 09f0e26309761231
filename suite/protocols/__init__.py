"""Which events are gallery and which are probes, and what that proves."""
