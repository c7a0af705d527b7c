"""The answer key: closed forms, compared with other closed forms, with autograd, and
with the loss they minimise.
"""

from __future__ import annotations

import math

import pytest
import torch
from checks import (
    check_the_gaussian_oracle_is_the_conditional_law,
    check_the_mixture_oracle_is_the_score,
    check_the_oracle_knows_median_and_mean,
    close,
    conditional_problem,
    f64,
    gaussian_problem,
    mixture,
    randn,
    seeded,
)
from torch import Tensor

from sr3mini import downsample
from sr3mini.loss import denoising_loss
from sr3mini.oracle import (
    ConditionalGaussianOracle,
    GaussianOracle,
    MixtureOracle,
    PicturesOracle,
)


def test_check_6_the_mixture_oracle_is_the_score_far_out_in_the_tail_too() -> None:
    """Check 6: f = -sqrt(1 - gamma) grad log p by autograd in float64, where exp of the
    log density underflows as well.
    """
    check_the_mixture_oracle_is_the_score(MixtureOracle)


def test_check_5_the_oracle_of_l1_is_the_median_and_not_the_score() -> None:
    """Check 5: two unequal point masses at gamma = 0.2, y = 0: mean -0.20, median
    -0.50.
    """
    check_the_oracle_knows_median_and_mean(MixtureOracle)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_check_5_each_oracle_is_the_better_one_under_its_own_loss(gamma: float) -> None:
    """Check 5: on one and the same sample the median has the lower absolute error, the
    mean the lower squared error.
    """
    n = 4000
    masses = f64(0.7, 0.3), f64(1, -1)[:, None], f64(0.02, 0)
    y_0 = torch.cat(
        [
            1 + math.sqrt(0.02) * randn(n * 7 // 10, 1),
            -torch.ones(n * 3 // 10, 1).double(),
        ]
    )
    eps, level = randn(n, 1, seed=1), f64(gamma).expand(n)
    loss = {
        (p, q): (
            denoising_loss(
                MixtureOracle(*masses, p=q), y_0, y_0, level, eps, p=p
            ).item()
        )
        for p in (1, 2)
        for q in (1, 2)
    }
    assert loss[1, 1] < loss[1, 2]
    assert loss[2, 2] < loss[2, 1]


def conditioned(
    mean: torch.Tensor, covariance: torch.Tensor, H: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """E[z | H z = seen] for z ~ N(mean, covariance): the textbook formula, one row of
    `seen` at a time.
    """
    gain = torch.linalg.solve(H @ covariance @ H.T, H @ covariance).T
    return mean + (seen - H @ mean) @ gain.T


def noised_pair(
    mean: torch.Tensor, covariance: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z = (y_0, eps), its mean and covariance, and the matrix of y_t = sqrt(gamma) y_0
    + sqrt(1 - gamma) eps.
    """
    identity = torch.eye(len(mean)).double()
    mixing = torch.cat(
        [math.sqrt(gamma) * identity, math.sqrt(1 - gamma) * identity], 1
    )
    return torch.cat([mean, 0 * mean]), torch.block_diag(covariance, identity), mixing


@pytest.mark.parametrize("gamma", [0.05, 0.4, 0.95])
def test_check_4_the_gaussian_oracle_is_the_conditional_law_of_the_noise(
    gamma: float,
) -> None:
    """Check 4: mean, covariance and both floors, by conditioning (eps, y_t)."""
    check_the_gaussian_oracle_is_the_conditional_law(GaussianOracle, gamma)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.99])
def test_the_gaussian_oracle_is_the_conditional_mean_of_the_noise(gamma: float) -> None:
    oracle, m, sigma, _ = gaussian_problem()
    mean, covariance, mixing = noised_pair(m, sigma, gamma)
    y_t = randn(5, 4)
    close(
        oracle(None, y_t, f64(gamma).expand(5)),
        conditioned(mean, covariance, mixing, y_t)[:, 4:],
        1e-11,
        "E[eps | y_t]",
    )


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.99])
def test_the_conditional_oracle_is_the_conditional_mean_given_y_t_and_x(
    gamma: float,
) -> None:
    """E[eps | y_t, x], by conditioning (y_0, eps) on everything seen at once."""
    D, x, prior, oracle = conditional_problem()
    mean, covariance, mixing = noised_pair(oracle.prior_mean, prior, gamma)
    seeing = torch.cat([mixing, torch.cat([D, 0 * D], 1)])
    y_t = randn(5, 16)
    seen = torch.cat([y_t, x.expand(5, 4)], 1)
    close(
        oracle(x.expand(5, 4), y_t, f64(gamma).expand(5)),
        conditioned(mean, covariance, seeing, seen)[:, 16:],
        1e-11,
        "E[eps | y_t, x]",
    )


def test_the_conditional_oracle_knows_what_x_fixes() -> None:
    D, x, _, oracle = conditional_problem()
    close(oracle.posterior_mean(x) @ D.T, x, 1e-14, "D E[y | x]")
    close(
        D @ oracle.posterior_covariance() @ D.T,
        torch.zeros(4, 4).double(),
        1e-15,
        "D V[y | x] D^T",
    )
    assert torch.linalg.matrix_rank(oracle.posterior_covariance(), hermitian=True) == 12


def test_the_conditional_oracle_takes_and_returns_images() -> None:
    _, x, _, oracle = conditional_problem()
    y_t = randn(1, 16).float()
    flat = oracle(x, y_t, f64(0.4))
    image = oracle(x.reshape(1, 1, 2, 2), y_t.reshape(1, 1, 4, 4), f64(0.4))
    assert image.dtype == torch.float32
    assert torch.equal(image.flatten(1), flat)


def test_a_gaussian_is_a_mixture_of_one() -> None:
    y_t, gamma = randn(6, 2), torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    round_one = GaussianOracle(f64(0.3, -0.4), 0.2 * torch.eye(2).double())
    for p in (1, 2):
        alone = MixtureOracle(f64(1), f64(0.3, -0.4)[None], f64(0.2), p=p)
        close(alone(None, y_t, gamma), round_one(None, y_t, gamma), 1e-9, f"p = {p}")


def test_the_median_leaves_half_of_the_noise_on_either_side() -> None:
    """p = 1: among noises drawn to fit one y_t, as many lie above the prediction as
    below, in each element.
    """
    weights, means, variances = mixture()
    y_t, gamma, n = f64(0.2, -0.3), 0.6, 40_000
    k = torch.multinomial(
        weights.expand(n, 3), 1, generator=torch.Generator().manual_seed(0)
    )[:, 0]
    y_0 = means[k] + variances[k].sqrt()[:, None] * randn(n, 2)
    share = (
        -(y_t - math.sqrt(gamma) * y_0).square().sum(1) / (2 * (1 - gamma))
    ).softmax(0)  # how likely y_t is from each y_0
    eps = (y_t - math.sqrt(gamma) * y_0) / math.sqrt(1 - gamma)
    median = MixtureOracle(*mixture(), p=1)(None, y_t[None], f64(gamma))[0]
    # the second element's law has a jump of 0.19 at the point mass, hence bounds on
    # both sides of it
    for i in range(2):
        assert share[eps[:, i] < median[i] - 0.02].sum() < 0.5
        assert share[eps[:, i] < median[i] + 0.02].sum() > 0.5


def test_a_point_mass_gives_its_noise_away() -> None:
    m = f64(0.4, -0.7)
    eps, gamma = randn(5, 2), torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    y_t = gamma.sqrt()[:, None] * m + (1 - gamma).sqrt()[:, None] * eps
    close(GaussianOracle(m, torch.zeros(2, 2))(None, y_t, gamma), eps, 1e-14, "eps")
    assert GaussianOracle(m, torch.zeros(2, 2)).floor(0.5) == 0


def test_the_residual_covariance_is_gamma_sigma_over_s() -> None:
    oracle, _, sigma, _ = gaussian_problem()
    S = 0.3 * sigma + 0.7 * torch.eye(4).double()
    close(
        oracle.residual_covariance(0.3),
        0.3 * sigma @ torch.linalg.inv(S),
        1e-14,
        "V[eps | y_t]",
    )


@pytest.mark.parametrize("p", [1, 2])
def test_the_floor_runs_from_nothing_known_to_everything_lost(p: int) -> None:
    """At gamma near 0 y_t is the noise and the floor is 0; at gamma near 1 the noise is
    hidden and the floor is that of f = 0.
    """
    oracle, *_ = gaussian_problem()
    assert oracle.floor(1e-9, p) == pytest.approx(0, abs=1e-3)
    assert oracle.floor(1 - 1e-12, p) == pytest.approx(
        1 if p == 2 else math.sqrt(2 / math.pi), rel=1e-3
    )


def test_a_covariance_with_a_negative_eigenvalue_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^the covariance has the negative eigenvalue -1; it must be positive"
            r" semi-definite$"
        ),
    ):
        GaussianOracle(torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0])))


@pytest.mark.parametrize(
    ("weights", "variances"),
    [((0.5, 0.6), (1, 1)), ((1.2, -0.2), (1, 1)), ((0.5, 0.5), (1, -1))],
)
def test_what_is_no_mixture_is_refused(
    weights: tuple[float, float], variances: tuple[float, float]
) -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^weights must be positive and sum to 1, and variances must not be"
            r" negative$"
        ),
    ):
        MixtureOracle(f64(*weights), torch.zeros(2, 1), f64(*variances))


def test_a_prior_that_is_itself_singular_is_no_trouble() -> None:
    """Images of one flat grey: one low pixel decides everything."""
    flat = torch.ones(4, 4).double()
    oracle = ConditionalGaussianOracle(torch.zeros(4), flat, torch.full((1, 4), 0.25))
    close(
        oracle.posterior_mean(f64(0.8)[None]),
        torch.full((1, 4), 0.8, dtype=torch.float64),
        1e-14,
        "E[y | x]",
    )
    close(oracle.posterior_covariance(), 0 * flat, 1e-14, "V[y | x]")


def _world(sigma: float) -> tuple[Tensor, Tensor, PicturesOracle]:
    """Five pictures of 4 x 4, and their exact f at factor 2."""
    y = torch.rand(5, 1, 4, 4, dtype=torch.float64, generator=seeded(0)) * 2 - 1
    x = downsample(y, 2)
    return y, x, PicturesOracle(y, x, sigma)


def test_the_shares_of_known_pictures_are_bayes_rule() -> None:
    y, x, oracle = _world(0.3)
    seen = x[:2] + 0.3 * randn(2, 1, 2, 2)
    errors = (seen[:, None] - x).flatten(2)
    noise = torch.distributions.Normal(f64(0.0), f64(0.3))
    joint = noise.log_prob(errors).sum(2).exp() / 5
    wanted = joint / joint.sum(1, keepdim=True)
    close(oracle.shares(seen), wanted, 1e-12, "shares")
    mean = torch.einsum("bn,nchw->bchw", wanted, y)
    close(oracle.mean(seen), mean, 1e-12, "mean")


def test_draws_of_known_pictures_come_as_often_as_their_shares() -> None:
    y, x, oracle = _world(0.5)
    seen = x[:1].expand(20_000, -1, -1, -1)
    drawn = oracle.draw(seen, seeded(0))
    which = (drawn[:, None] - y).abs().flatten(2).amax(2)
    assert which.min(1).values.max() == 0
    counted = which.argmin(1).bincount(minlength=5).double() / 20_000
    close(counted, oracle.shares(x[:1])[0], 0.02, "how often")


@pytest.mark.parametrize("gamma", [0.99, 0.5, 0.02])
def test_the_oracle_of_known_pictures_is_the_slope_of_the_log_density(
    gamma: float,
) -> None:
    """eps = -sqrt(1 - gamma) d log p(y_t | x) / d y_t, by autograd; far away too."""
    y, x, oracle = _world(0.3)
    seen, level = x[:3] + 0.1, f64(gamma).expand(3)
    far = 10 * randn(1, 1, 4, 4)
    y_t = (torch.cat([gamma**0.5 * y[1:3], far])).requires_grad_()
    apart = (y_t[:, None] - gamma**0.5 * y).flatten(2).square().sum(2)
    log_p = (oracle.shares(seen).log() - apart / (2 * (1 - gamma))).logsumexp(1)
    (slope,) = torch.autograd.grad(log_p.sum(), y_t)
    f = oracle(seen, y_t.detach(), level)
    close(f, -((1 - gamma) ** 0.5) * slope, 1e-8, "eps")
