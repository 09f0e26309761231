"""Steps that set the attacks of several cells, or of several candidates, beside each other."""
