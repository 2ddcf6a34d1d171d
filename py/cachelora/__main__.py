"""``python -m cachelora`` is the ``cachelora`` command."""

from cachelora.cli import main

main()
