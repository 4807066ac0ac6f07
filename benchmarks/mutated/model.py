"""Errors in priors, projection, trees, ties and constraints."""

from __future__ import annotations

from benchmarks.mutated.case import Mutation

MODEL = [
    Mutation(
        "fitcore/model/priors.py",
        "inside = xp.where(xp.isnan(x), np.nan, -math.log(self.upper - self.lower))",
        "inside = xp.where(xp.isnan(x), np.nan, 0.0)",
        "uniform prior: normalization forgotten",
        "tests/fitcore/test_statistics_reference.py tests/fitcore/model/test_priors.py",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "log_density = -xp.log(xp.clip(x, self.lower, self.upper)) - math.log(self._width)",
        "log_density = -math.log(self._width) + 0.0 * x",
        "log-uniform prior: density without 1 / x",
        "tests/fitcore/model/test_priors.py::test_loguniform_against_scipy",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "- math.log(self.sigma) - log_x\n",
        "- math.log(self.sigma)\n",
        "log-normal prior: Jacobian dropped",
        "tests/fitcore/model/test_priors.py::test_normal_and_lognormal_against_scipy",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "return log_normal_density(self.probit(x)) - math.log(self.sigma)",
        "return log_normal_density(self.probit(x))",
        "normal prior: sigma dropped from the density",
        "tests/fitcore/model/test_priors.py::test_normal_and_lognormal_against_scipy",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "near_lower, near_upper = inside < 2.0 * self.lower, inside > 0.5 * self.upper",
        "near_lower, near_upper = (xp.minimum(inside, 2.0 * self.lower) - self.lower) / self.lower < 1.0, inside > 0.5 * self.upper",
        "log-uniform prior: a branch told by a quotient that compilers round",
        "tests/fitcore/model/test_priors.py::test_loguniform_compiled_is_the_same_at_limits_whose_quotient_is_rounded",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "return self._between(special.ndtr(z), special.ndtr(-special.floats(z)[1]))\n"
        "\n"
        "    def inverse(self, x: Any) -> Any:\n"
        '        """See `Prior.inverse`."""\n'
        "        xp, x",
        "return self._between(special.ndtr(z), 1.0 - special.ndtr(z))\n"
        "\n"
        "    def inverse(self, x: Any) -> Any:\n"
        '        """See `Prior.inverse`."""\n'
        "        xp, x",
        "uniform prior: upper tail by 1 - u",
        "tests/fitcore/model/test_priors.py::test_tails_of_bounded_priors_are_resolved_where_doubles_are_dense",
    ),
    Mutation(
        "fitcore/model/priors.py",
        "value = xp.where(below <= above, self.lower + width * below, self.upper - width * above)\n"
        "        return xp.clip(value, self.lower, self.upper)",
        "value = xp.where(below <= above, self.lower + width * below, self.upper - width * above)\n        return value",
        "uniform prior: not clipped to its support",
        "tests/fitcore/model/test_priors.py::test_points_outside_the_unit_interval_are_held_at_its_ends",
    ),
    Mutation(
        "fitcore/model/prior.py",
        "- math.log(self.sigma) - log_normal_density(z)",
        "- log_normal_density(z)",
        "projected prior: sigma dropped from the density",
        "tests/fitcore/model/test_prior.py",
    ),
    Mutation(
        "fitcore/model/prior.py",
        "+ log_normal_density((z - self.mean) / self.sigma) - math.log(self.sigma) - log_normal_density(z)",
        "+ log_normal_density((z - self.mean) / self.sigma) - math.log(self.sigma)",
        "projected prior: Jacobian of the probit map dropped",
        "tests/fitcore/model/test_prior.py",
    ),
    Mutation(
        "fitcore/model/prior.py",
        "return self.base.from_probit(self.mean + self.sigma * z)",
        "return self.base.from_probit(self.mean - self.sigma * z)",
        "projected prior: sign of z flipped",
        "tests/fitcore/model/test_priors.py::test_transform_stays_inside_the_support_and_is_monotonic",
    ),
    Mutation(
        "fitcore/model/truncated.py",
        "- self._log_total - math.log(self.sigma)\n        return",
        "- math.log(self.sigma)\n        return",
        "truncated normal: density not normalized to its limits",
        "tests/fitcore/test_statistics_reference.py",
    ),
    Mutation(
        "fitcore/model/truncated.py",
        "offset = (self._mode - self.mean) / self.sigma",
        "offset = (self.mean - self._mode) / self.sigma",
        "truncated normal: sign of the slope at the limit",
        "tests/fitcore/model/test_priors.py::test_density_integrates_to_one_and_is_the_slope_of_the_inverse",
    ),
    Mutation(
        "fitcore/model/truncated.py",
        "special.log_ndtr(away) + self._log_total, a, c)",
        "special.log_ndtr(away), a, c)",
        "truncated normal: quantiles of the whole normal",
        "tests/fitcore/model/test_truncated.py",
    ),
    Mutation(
        "fitcore/model/special.py",
        "both = _SQRT_TWO_PI - xp.exp(-0.5 * a * a) * tail_a - xp.exp(-0.5 * t * t) * tail_t",
        "both = _SQRT_TWO_PI - xp.exp(-0.5 * a * a) * tail_a",
        "truncated normal: one of two tails forgotten",
        "tests/fitcore/model/test_special.py",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "mean = start + float(weight @ (values - start))",
        "mean = start",
        "one pass instead of two",
        "tests/fitcore/model/test_moments.py",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "return mean, math.sqrt(float(weight @ (values - mean) ** 2))",
        "return mean, math.sqrt(float(weight @ values**2) - mean**2)",
        "variance as the difference of two large numbers",
        "tests/fitcore/model/test_moments.py",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "weight = np.exp(logs[used] - logs[used].max())",
        "weight = np.exp(2.0 * (logs[used] - logs[used].max()))",
        "projection: weighted twice",
        "tests/fitcore/test_statistics_reference.py",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "used = np.isfinite(logs)\n",
        "used = np.isfinite(logs) | True\n",
        "projection: samples of zero weight stay",
        "tests/fitcore/model/test_priors.py::test_weights_that_give_no_sane_prior_are_refused",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "return np.where(on_bound, np.copysign(edge, z), z)",
        "return z",
        "projection: samples on a bound not moved inside",
        "tests/fitcore/model/test_priors.py::test_a_sample_on_a_bound_is_moved_inside",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "return round_linked(max(wide, floor))",
        "return round_linked(wide)",
        "projection: no floor for a degenerate posterior",
        "tests/fitcore/model/test_priors.py::test_a_degenerate_posterior_gets_a_floor",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "return round(rounded, min(11 - size, 300)) + 0.0",
        "return rounded",
        "projection: noise of a mean that cancels enters the digest",
        "tests/fitcore/model/test_projection.py",
    ),
    Mutation(
        "fitcore/model/moments.py",
        "return _held(values, support, name), weight / weight.sum()",
        "return _held(values, support, name), weight",
        "projection: weights not normalized",
        "tests/fitcore/test_statistics_reference.py",
    ),
    Mutation(
        "fitcore/model/truncated.py",
        "parent_mean, parent_sigma = truncated_parents(self._inside(mean, sigma), sigma, self.lower, self.upper)",
        "parent_mean, parent_sigma = mean, sigma",
        "truncated normal: projection without the moment solve",
        "tests/fitcore/model/test_truncated.py",
    ),
    Mutation(
        "fitcore/model/projection.py",
        "values = np.concatenate([parameters[:, columns[leaf]] for leaf in found])",
        "found = found[:1]\n        values = parameters[:, columns[found[0]]]",
        "projection: a tie's samples not pooled",
        "tests/fitcore/model/test_projection.py",
    ),
    Mutation(
        "fitcore/model/projection.py",
        "changes[path] = prior.project(values, np.tile(log_weight, len(found)), scale=scale)",
        "changes[path] = prior.project(values, np.zeros(values.size), scale=scale)",
        "projection: weights forgotten",
        "tests/fitcore/test_statistics_reference.py",
    ),
    Mutation(
        "fitcore/model/projection.py",
        "columns = {path: i for i, path in enumerate(samples.paths)}",
        "columns = {path: i for i, path in enumerate(model.paths)}",
        "projection: by position instead of by path",
        "tests/fitcore/model/test_projection.py",
    ),
    Mutation(
        "fitcore/model/model.py",
        "allowed = allowed & constraint.holds(leaves)",
        "allowed = allowed | constraint.holds(leaves)",
        "a violated constraint is allowed",
        "tests/fitcore/model/test_model.py",
    ),
    Mutation(
        "fitcore/model/model.py",
        "        return Model(tree, tuple(dict.fromkeys(constraints)))",
        "        return Model(tree)",
        "replace, and so projection, forgets the constraints",
        "tests/fitcore/model/test_projection.py",
    ),
    Mutation(
        "fitcore/model/model.py",
        "return sum(prior.log_prob(values.T[i]) for i, prior in enumerate(self._leaves.priors.values()))",
        "return sum(prior.log_prob(values.T[0]) for prior in self._leaves.priors.values())",
        "log prior of the first column for all",
        "tests/fitcore/model/test_model.py",
    ),
    Mutation(
        "fitcore/model/model.py",
        'return {"tree": self.tree, "paths": self.paths, "constraints": frozenset(self.constraints)}',
        'return {"tree": self.tree, "paths": self.paths}',
        "constraints not in the digest",
        "tests/fitcore/model/test_model.py",
    ),
    Mutation(
        "fitcore/model/leaves.py",
        "if target.startswith(prefix):",
        "if False:",
        "subtree: ties inside become parameters of their own",
        "tests/fitcore/model/test_model.py",
    ),
    Mutation(
        "fitcore/model/constraints.py",
        "return lower < upper\n",
        "return lower <= upper\n",
        "an equality passes a strict constraint",
        "tests/fitcore/model/test_constraints.py",
    ),
]
