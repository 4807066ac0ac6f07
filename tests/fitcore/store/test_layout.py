"""Names that may become files, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcore.errors import ConfigError
from fitcore.store.layout import Layout, checked_digest, checked_name


@given(st.one_of(st.text(), st.text(alphabet="ab./\\-_", max_size=70), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)))
def test_no_name_leaves_its_folder(name):
    try:
        checked_name(name)
    except ConfigError:
        return
    assert 1 <= len(name.encode()) <= 64
    assert name[0] not in ".-_"
    assert "/" not in name
    assert "\\" not in name


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "../" + "a" * 61, 3, None])
def test_only_digests_are_digests(digest):
    with pytest.raises(ConfigError, match="64 lower-case hexadecimal digits are expected"):
        checked_digest(digest)


def test_strange_folders_are_no_digests(tmp_path):
    layout = Layout(tmp_path)
    assert layout.digests() == []
    layout.result_folder("ab" * 32).mkdir(parents=True)
    (layout.results / "ab" / "notes").mkdir()
    (layout.results / "zz").mkdir()
    assert layout.digests() == ["ab" * 32]
    assert layout.digests_at_work() == []
