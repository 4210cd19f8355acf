"""Explore and search Transformer-encoder architectures: FlexiBERT, BOSHNAS and SuperShaper made real.

After ``import explorer`` the Auto classes of ``transformers`` load its models.
"""

from explorer.auto_classes import register_when_needed

register_when_needed()
