"""``python -m tidelog.api.cli`` is ``tidelog``."""

from tidelog.api.cli.entry import main

main()
