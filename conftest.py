"""What holds for every test of the project."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure, so no example has a deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
