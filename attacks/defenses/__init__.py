"""What the owner of the vectors can do before releasing them."""
