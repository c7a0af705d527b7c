"""Exercises of chapter 7."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...sampler import posterior_step, reverse_step
from ...schedule import NoiseSchedule
from .grader import Answer, Exercise, images

_ALPHA, _GAMMA = (
    torch.tensor(0.6, dtype=torch.float64),
    torch.tensor(0.3, dtype=torch.float64),
)
_SCHEDULE = NoiseSchedule.linear(4, 0.1, 0.6)
Scalar = Callable[[Tensor, Tensor], Tensor]


def _step(
    taken: Scalar = lambda a, g: (1 - a) / (1 - g).sqrt(),
    divisor: Scalar = lambda a, g: a.sqrt(),
    sigma: Scalar = lambda a, g: (1 - a).sqrt(),
) -> Answer:
    """Line 4 of Algorithm 2 with other factors: of the noise that is taken away, of the
    whole, and of z.
    """

    def formula(
        y_t: Tensor, eps_hat: Tensor, alpha_t: Tensor, gamma_t: Tensor, z: Tensor
    ) -> Tensor:
        a, g = alpha_t.to(y_t), gamma_t.to(y_t)
        return (y_t - taken(a, g) * eps_hat) / divisor(a, g) + sigma(a, g) * z

    return formula


def _f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
    """Some function of all three, in the place of a network: what it is given shows in
    what it returns.
    """
    return 0.3 * y_t + 0.2 * x + gamma.to(y_t).reshape(-1, 1, 1, 1)


def _loop(
    order: Callable[[int], range] = lambda T: range(T, 0, -1),
    step: Answer = reverse_step,
    quiet: Callable[[int], bool] = lambda t: t == 1,
    told: Callable[[Tensor, int], Tensor] = lambda gammas, t: gammas[t],
    shift: int = 0,
    noise: Callable[[int], int] = lambda t: t - 1,
) -> Answer:
    """Algorithm 2 with noise handed in, and with one thing changed."""

    def formula(
        f: Answer, x: Tensor, alphas: Tensor, gammas: Tensor, noises: Tensor
    ) -> Tensor:
        y = noises[-1]
        for t in order(len(gammas) - 1):
            eps_hat = f(x, y, told(gammas, t).expand(len(y)))
            z = 0 * y if quiet(t) else noises[noise(t)]
            y = step(y, eps_hat, alphas[t - shift], gammas[t], z)
        return y

    return formula


EXERCISES: dict[str, Exercise] = {
    "7.1": Exercise(
        function="reverse_step",
        inputs=(images(2, 4, 1), images(2, 4, 2), _ALPHA, _GAMMA, images(2, 4, 3)),
        right=reverse_step,
        builds=True,
        slips={
            (
                "z has the posterior's standard deviation; the paper's is sqrt(1"
                " - alpha_t)"
            ): (posterior_step),
            (
                "z is scaled by the variance 1 - alpha_t; a normal number is"
                " scaled by the standard deviation, its root"
            ): _step(sigma=lambda a, g: 1 - a),
            (
                "z is scaled by sqrt(1 - gamma_t), the noise of all t steps;"
                " this step has the share 1 - alpha_t"
            ): _step(sigma=lambda a, g: (1 - g).sqrt()),
            "the root of 1 - gamma_t is missing in front of the predicted noise": _step(
                taken=lambda a, g: (1 - a) / (1 - g)
            ),
            (
                "there is a root too many: the predicted noise is multiplied"
                " by 1 - alpha_t itself"
            ): _step(taken=lambda a, g: ((1 - a) / (1 - g)).sqrt()),
            (
                "all of the noise is taken away at once: the factor of the predicted"
                " noise is (1 - alpha_t)/sqrt(1 - gamma_t)"
            ): _step(taken=lambda a, g: (1 - g).sqrt()),
            "alpha and gamma have changed places in front of the predicted noise": (
                _step(taken=lambda a, g: (1 - g) / (1 - a).sqrt())
            ),
            "the predicted noise is added; it has to be taken away": _step(
                taken=lambda a, g: -(1 - a) / (1 - g).sqrt()
            ),
            (
                "this divides by alpha_t; the step multiplied by its root, so"
                " divide by the root"
            ): _step(divisor=lambda a, g: a),
            "only y_t is divided by sqrt(alpha_t); the whole bracket is": (
                lambda y_t, eps_hat, alpha_t, gamma_t, z: (
                    y_t / alpha_t.sqrt()
                    - (1 - alpha_t) / (1 - gamma_t).sqrt() * eps_hat
                    + (1 - alpha_t).sqrt() * z
                )
            ),
            "z is left out": _step(sigma=lambda a, g: 0 * a),
        },
    ),
    "7.2": Exercise(
        function="sample",
        inputs=(
            _f,
            images(2, 4, 6),
            _SCHEDULE.alphas,
            _SCHEDULE.gammas,
            images(10, 4, 8).reshape(5, 2, 1, 4, 4),
        ),
        right=_loop(),
        builds=True,
        slips={
            (
                "noise is added at t = 1 too; `if t > 0` is always true in a"
                " loop that ends at 1"
            ): _loop(quiet=lambda t: False),
            "no noise is ever added; z is 0 at t = 1 only": _loop(quiet=lambda t: True),
            "no noise is added at t = 2 either; z is 0 at t = 1 only": _loop(
                quiet=lambda t: t <= 2
            ),
            (
                "the loop stops at t = 2 and returns y_1; `range` leaves its"
                " end out, so write range(T, 0, -1)"
            ): _loop(order=lambda T: range(T, 1, -1)),
            "the loop starts at T - 1: one step is missing": _loop(
                order=lambda T: range(T - 1, 0, -1)
            ),
            "the loop counts upwards; noise is taken away from t = T down to 1": _loop(
                order=lambda T: range(1, T + 1), noise=lambda t: max(t - 1, 0)
            ),
            (
                "the step to y_{t-1} takes noises[t], which is in y_t already; its own"
                " is noises[t - 1]"
            ): _loop(noise=lambda t: t),
            (
                "z has the posterior's standard deviation; the paper's is sqrt(1"
                " - alpha_t)"
            ): _loop(step=posterior_step),
            "f is told gamma_{t-1}; y_t has the level gamma_t": _loop(
                told=lambda gammas, t: gammas[t - 1]
            ),
            (
                "f is told the root of gamma_t, as in the best-known public"
                " code; SR3's network wants gamma_t"
            ): _loop(told=lambda gammas, t: gammas[t].sqrt()),
            (
                "alpha is shifted by one index: the tables hold entry 0, so"
                " alphas[t] belongs to step t"
            ): _loop(shift=1),
        },
    ),
}
