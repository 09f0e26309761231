"""Readers for files of user vectors produced by any system.

`read` accepts all formats, `tables` and `arrays` one kind each, `choice` selects the columns of the
vectors, and `clean` normalizes ids, times, roles and sessions.
"""
