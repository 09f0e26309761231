"""Which defense to release vectors with.

`world` splits the users, `ladders` lists defenses by strength, `lift` attacks what they release,
`cost` measures what is lost, `search` finds the strengths that reach a target, and `result` is
what was found. `attacks.advise` is the entry.
"""
