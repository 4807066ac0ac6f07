"""The summary: the samples' numbers, and an exact JSON form."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fitcore.errors import SpecError
from fitcore.samples import Samples
from fitcore.summary import SamplesSummary


@pytest.fixture
def samples() -> Samples:
    rng = np.random.default_rng(0)
    log_l = rng.normal(size=40)
    return Samples(("a", "b"), rng.normal(size=(40, 2)), log_l, -log_l, 0.1 * log_l, -1 / 3, math.nan)


def test_numbers_are_those_of_the_samples(samples: Samples) -> None:
    summary = samples.summary(n_calls=7, diagnostics={"grade": "A"})
    np.testing.assert_array_equal(summary.max_log_likelihood(), samples.max_log_likelihood())
    np.testing.assert_array_equal(summary.median_pdf(), samples.median_pdf())
    for sigma in (1.0, 3.0):
        np.testing.assert_array_equal(summary.values_at_sigma(sigma), samples.values_at_sigma(sigma))
        np.testing.assert_array_equal(summary.errors_at_sigma(sigma), samples.errors_at_sigma(sigma))
    assert summary.by_path("best")["b"] == samples.max_log_likelihood()[1]
    assert summary.log_likelihood == samples.log_likelihood.max()
    assert summary.log_prior == samples.log_prior[samples.best_index]
    assert (summary.n_calls, summary.n_samples, summary.diagnostics["grade"]) == (7, 40, "A")


def test_stored_form_is_strict_json_and_exact(samples: Samples) -> None:
    diagnostics = {"k_hat": math.nan, "gap": math.inf, "n": np.int64(3), "ok": np.bool_(True), "text": "nan", "x": 0.1}
    summary = samples.summary(diagnostics=diagnostics)
    back = SamplesSummary.from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False, sort_keys=True)))
    assert back == summary
    assert math.isnan(back.log_evidence_error)
    assert back.log_evidence == -1 / 3
    assert math.isnan(float(back.diagnostics["k_hat"]))
    assert back.diagnostics["text"] == "nan"
    assert back.median == summary.median
    assert back != samples.summary(n_calls=1, diagnostics=diagnostics)


def test_other_sigmas_and_fields_are_refused(samples: Samples) -> None:
    summary = samples.summary()
    with pytest.raises(SpecError, match=r"intervals at 1 and 3 sigma, not at 2\.0; ask the samples"):
        summary.values_at_sigma(2.0)
    data = summary.to_dict()
    data["medium"] = data.pop("median")
    with pytest.raises(SpecError, match=r"missing \['median'\], unknown \['medium'\]"):
        SamplesSummary.from_dict(data)
    with pytest.raises(SpecError, match="allowed are plain numbers, strings and booleans"):
        samples.summary(diagnostics={"x": object()}).to_dict()  # type: ignore[dict-item]
