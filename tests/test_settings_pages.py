"""What is written from the declared settings: the page about them and the sample file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tidelog.api.config import OPTIONS, load_config, shown_settings
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "docs" / "service" / "tidelog.toml"


def test_they_are_up_to_date() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "settings_table", "--check"], check=True)


def test_the_sample_changes_nothing_but_where_topics_are() -> None:
    config = load_config({}, {}, file=str(SAMPLE))
    assert (config.data_dir, config.sources) == ("/var/lib/tidelog", {"data_dir": str(SAMPLE)})


def test_its_comments_are_the_defaults(tmp_path: Path) -> None:
    """Each line that is commented out can be used as it stands, but for those without a value."""
    lines = re.sub(r'^#(?="?[a-z_.]+"? = .)', "", SAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / "all.toml").write_text(lines)
    given = load_config({}, {}, file=str(tmp_path / "all.toml"))
    usual = load_config({}, {}, tmp_path)
    shown, wanted = ({one.name: one.value for one in shown_settings(c)} for c in (given, usual))
    assert shown == {**wanted, "data_dir": "/var/lib/tidelog"}
    settable = {name for name, one in BROKER_SETTINGS.items() if not one.read_only}
    unset = {name for name in settable if BROKER_SETTINGS[name].default is None}
    assert set(given.sources) == {*OPTIONS, *settable} - unset
    assert all(f'#"{name}" =\n' in lines for name in unset)
