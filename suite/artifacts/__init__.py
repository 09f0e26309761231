"""What each step leaves: types with save and load, nothing else."""
