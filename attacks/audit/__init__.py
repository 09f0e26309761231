"""Audit vectors that any system produced.

`split` decides what the attacker has, `entry` runs the attacks and measures them, `result` is
what they found, and `sentences` says it in words.
"""

from attacks.audit.entry import audit
from attacks.audit.result import AttackDifference, AttackResult, Audit

__all__ = ["AttackDifference", "AttackResult", "Audit", "audit"]
