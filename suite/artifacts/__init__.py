"""Result types of the steps, with save and load only."""
