"""Two that ask for the same at once."""

from __future__ import annotations

from typing import Any

import pytest

from fitcore.fitting import Request, run
from fitcore.model import Model
from fitcore.store import Store


def test_what_another_process_finished_while_this_one_waited_is_not_computed_again(
    toy_model: Model, store: Store, point: Any, prior_sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(model=toy_model, analysis=point(), search=prior_sampling())
    real = Store.lease

    def lease(self: Store, digest: str, **more: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "lease", real)
            assert not run(request, store).is_cached  # the other one, from before this one asked until after
        return real(self, digest, **more)

    monkeypatch.setattr(Store, "lease", lease)
    late = point()
    found = run(Request(model=toy_model, analysis=late, search=prior_sampling()), store)
    assert found.is_cached
    assert "save_attributes" not in late.calls
    assert len(store.attempts(request.digest)) == 2
