"""``python -m tidelog`` is ``tidelog``."""

from tidelog.api.cli import main

main()
