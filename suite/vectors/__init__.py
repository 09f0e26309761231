"""A file of vectors that any system produced -> vectors with their owners, in memory.

`read` takes any format, `tables` and `arrays` one kind each, `choice` decides which columns hold
the vectors, and `clean` makes ids, times, roles and sessions comparable.
"""
