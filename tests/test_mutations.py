"""Check 11: break one thing, and a named check fails. The same check passes on the room
as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import checks
import pytest
import torch
from rooms import Edit, room


class Mutant(NamedTuple):
    """What is broken, where, by which edits, and which check has to see it."""

    name: str
    room: str
    edits: tuple[Edit, ...]
    check: Callable[[ModuleType], None]

    def __str__(self) -> str:
        return f"{self.name}: {self.check.__name__}"


# One function per check: it picks what it tests out of the room, mutated or not.


def running_product(schedule: ModuleType) -> None:
    checks.check_gamma_is_the_running_product(schedule.NoiseSchedule.from_alphas)


def noise_of_a_step(schedule: ModuleType) -> None:
    checks.check_betas_are_what_is_not_kept(schedule.NoiseSchedule.from_betas)


def translated_code(translate: ModuleType) -> None:
    checks.check_translated_code_computes_the_same(translate.to_sr3)


def diffuse_weights(forward: ModuleType) -> None:
    checks.check_diffuse_weighs_by_the_roots(forward.diffuse)


def inverse_cdf(forward: ModuleType) -> None:
    checks.check_the_level_is_the_inverse_cdf(forward.gamma_between)


def every_segment(forward: ModuleType) -> None:
    checks.check_every_segment_is_drawn(forward.sample_gamma)


def level_per_image(forward: ModuleType) -> None:
    checks.check_every_image_has_its_own_level(forward.sample_gamma)


def standard_normal(sampler: ModuleType) -> None:
    checks.check_standard_normal_is_exact(sampler.reverse_step)


def point_mass(sampler: ModuleType) -> None:
    checks.check_point_mass_is_exact(sampler.posterior_step)


def conditional_gaussian(sampler: ModuleType) -> None:
    checks.check_conditional_gaussian(sampler.reverse_step)


def loop(sampler: ModuleType) -> None:
    checks.check_the_loop_is_algorithm_2(sampler.trajectory)


def last_step(sampler: ModuleType) -> None:
    checks.check_the_last_step_adds_no_noise(sampler.trajectory)


def tiled_by_hand(tiles: ModuleType) -> None:
    checks.check_a_tiled_network_sums_what_its_windows_show(
        tiles.tiled, tiles.shares, tiles.starts
    )


def window_weights(tiles: ModuleType) -> None:
    checks.check_windows_share_every_pixel(tiles.shares)


def ddim_order(sampler: ModuleType) -> None:
    checks.check_ddim_has_order_1(sampler.sample)


def multistep_order(sampler: ModuleType) -> None:
    checks.check_multistep_has_order_2(sampler.sample)


def search(sampler: ModuleType) -> None:
    checks.check_the_search_ranks_by_score(sampler.search_schedule)


def l2_floor(loss: ModuleType) -> None:
    checks.check_the_loss_reaches_its_floor(loss.denoising_loss, 2)


def l1_floor(loss: ModuleType) -> None:
    checks.check_the_loss_reaches_its_floor(loss.denoising_loss, 1)


def median_and_mean(loss: ModuleType) -> None:
    checks.check_l1_finds_the_median_and_l2_the_mean(loss.denoising_loss)


def gaussian_oracle(oracle: ModuleType) -> None:
    checks.check_the_gaussian_oracle_is_the_conditional_law(oracle.GaussianOracle)


def oracle_median_and_mean(oracle: ModuleType) -> None:
    checks.check_the_oracle_knows_median_and_mean(oracle.MixtureOracle)


def mixture_score(oracle: ModuleType) -> None:
    checks.check_the_mixture_oracle_is_the_score(oracle.MixtureOracle)


def told_nothing(loss: ModuleType) -> None:
    checks.check_a_regression_network_is_told_nothing_but_x(loss.regress)


def unbiased_deviation(metrics: ModuleType) -> None:
    checks.check_diversity_is_the_unbiased_deviation_on_0_to_1(metrics.diversity)


def papers_consistency(metrics: ModuleType) -> None:
    checks.check_consistency_is_the_papers(metrics.consistency)


def mistakes(metrics: ModuleType) -> None:
    checks.check_the_fool_rate_counts_mistakes(metrics.fool_rate)


def matlabs_luma(compare: ModuleType) -> None:
    checks.check_luma_is_matlabs(compare.luma)


def border_left_out(compare: ModuleType) -> None:
    checks.check_the_border_is_left_out(compare.without_border)


def every_picture(data: ModuleType) -> None:
    checks.check_every_picture_is_taken_once_an_epoch(data.rows)


def linear(degrade: ModuleType) -> None:
    checks.check_downsample_is_linear(degrade.downsample)


def pillow(degrade: ModuleType) -> None:
    checks.check_downsample_is_pillows(degrade.downsample)


def levels_resolved(unet: ModuleType) -> None:
    checks.check_levels_are_resolved(unet.LevelEmbedding(8).sinusoids)


def level_embedding(unet: ModuleType) -> None:
    checks.check_the_level_embedding(unet.LevelEmbedding)


def residual_block(unet: ModuleType) -> None:
    checks.check_the_residual_block(unet.ResBlock)


def public_layout(ddpm_unet: ModuleType) -> None:
    checks.check_the_ddpm_layout_is_that_codes(ddpm_unet.DDPMUNet)


def unseen_part(degrade: ModuleType) -> None:
    checks.check_the_unseen_part_has_no_x(degrade)


def gaussian_blur(degrade: ModuleType) -> None:
    checks.check_blur_is_a_gaussian(degrade)


def eight_bits(degrade: ModuleType) -> None:
    checks.check_as_file_is_what_8_bits_keep(degrade)


# the schedule's own checks would refuse these tables first
UNGUARDED = (
    "def __post_init__(self)",
    "def never_called(self)",
)
POSTERIOR = "(1 - gamma_t / alpha_t) * (1 - alpha_t) / (1 - gamma_t)"
LEVELS = "return gamma_t + u * (gamma_before - gamma_t)"
DRAW = "torch.randint(1, schedule.steps + 1, shape,"
PAPER_NOISE = "(1 - alpha_t).sqrt().to(y_t) * z"
WEIGHT = "weight = ((1 - alpha_t) / (1 - gamma_t).sqrt())"
SWAPPED = "weight = ((1 - gamma_t) / (1 - alpha_t).sqrt())"
TABLES = "alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]\n"
GUARD = 'if method == "ancestral" and t > 1 else None'
RATIO = "(ahead - here) / (2 * (here - before))"
LINE = f"y_0 + {RATIO} * (y_0 - y_0_before)"
SEEN = "y_0_before, y_0 = y_0, predict_y_0(y_t, eps_hat, gamma_t)"
MODULATED = "torch.addcmul(shift, self.norm2(b), 1 + scale)"

MUTANTS = [
    Mutant(
        "the product runs to T",
        "schedule",
        (("alphas.cumprod(0)", "alphas.prod().expand_as(alphas)"), UNGUARDED),
        running_product,
    ),
    Mutant(
        "gamma shifted by one index",
        "schedule",
        (("torch.cat([table.new_ones(1), table])", "table"), UNGUARDED),
        running_product,
    ),
    Mutant(
        "gamma_t leaves alpha_t out",
        "schedule",
        (("alphas.cumprod(0)", "alphas.cumprod(0) / alphas"), UNGUARDED),
        running_product,
    ),
    Mutant(
        "beta is taken for alpha",
        "schedule",
        (("1 - torch.as_tensor(betas)", "torch.as_tensor(betas)"),),
        noise_of_a_step,
    ),
    Mutant(
        "the index stays",
        "book.translate",
        (("_moved(self.visit(node.slice), 1)", "self.visit(node.slice)"),),
        translated_code,
    ),
    Mutant(
        "beta is taken for alpha",
        "book.translate",
        (('if name == "betas" else entry', 'if name == "" else entry'),),
        translated_code,
    ),
    Mutant(
        "alpha-bar is taken for alpha",
        "book.translate",
        (('"alpha_bars": "gammas"', '"alpha_bars": "alphas"'),),
        translated_code,
    ),
    Mutant(
        "the network is told the level after",
        "book.translate",
        (("_moved(t, self.shift)", "_moved(t, self.shift - 1)"),),
        translated_code,
    ),
    Mutant(
        "signal without its root",
        "forward",
        (("gamma.sqrt()", "gamma"),),
        diffuse_weights,
    ),
    Mutant(
        "noise without its root",
        "forward",
        (("(1 - gamma).sqrt()", "(1 - gamma)"),),
        diffuse_weights,
    ),
    Mutant(
        "signal and noise swapped",
        "forward",
        (("signal * y_0 + noise * eps", "noise * y_0 + signal * eps"),),
        diffuse_weights,
    ),
    Mutant(
        "uniform in the root of gamma",
        "forward",
        ((LEVELS, "return gamma_t.sqrt().lerp(gamma_before.sqrt(), u).square()"),),
        inverse_cdf,
    ),
    Mutant(
        "uniform from the other end",
        "forward",
        ((LEVELS, "return gamma_before + u * (gamma_t - gamma_before)"),),
        inverse_cdf,
    ),
    Mutant(
        "gamma shifted by one index",
        "forward",
        ((LEVELS, "return schedule.gammas[t - 1] + u * (gamma_before - gamma_t)"),),
        inverse_cdf,
    ),
    Mutant(
        "T - 1 segments, the first never drawn",
        "forward",
        ((DRAW, "torch.randint(2, schedule.steps + 1, shape,"),),
        every_segment,
    ),
    Mutant(
        "T - 1 segments, the last never drawn",
        "forward",
        ((DRAW, "torch.randint(1, schedule.steps, shape,"),),
        every_segment,
    ),
    Mutant(
        "one t for the whole batch",
        "forward",
        ((DRAW, "torch.randint(1, schedule.steps + 1, (1,),"),),
        level_per_image,
    ),
    Mutant(
        "the variance rule flipped",
        "sampler",
        ((PAPER_NOISE, f"({POSTERIOR}).sqrt().to(y_t) * z"),),
        standard_normal,
    ),
    Mutant(
        "noise scaled by 1 - alpha, without its root",
        "sampler",
        ((PAPER_NOISE, "(1 - alpha_t).to(y_t) * z"),),
        standard_normal,
    ),
    Mutant(
        "no root under alpha",
        "sampler",
        (("/ alpha_t.sqrt()", "/ alpha_t"),),
        standard_normal,
    ),
    Mutant(
        "no root over 1 - gamma",
        "sampler",
        ((WEIGHT, WEIGHT.replace(".sqrt()", "")),),
        standard_normal,
    ),
    Mutant(
        "the variance rule flipped",
        "sampler",
        ((f"variance = {POSTERIOR}", "variance = 1 - alpha_t"),),
        point_mass,
    ),
    Mutant(
        "gamma_t for gamma_{t-1}",
        "sampler",
        (("variance = (1 - gamma_t / alpha_t)", "variance = (1 - gamma_t)"),),
        point_mass,
    ),
    Mutant(
        "no root over 1 - gamma",
        "sampler",
        ((WEIGHT, WEIGHT.replace(".sqrt()", "")),),
        conditional_gaussian,
    ),
    Mutant(
        "alpha and gamma swapped", "sampler", ((WEIGHT, SWAPPED),), conditional_gaussian
    ),
    Mutant(
        "noise scaled by 1 - alpha, without its root",
        "sampler",
        ((PAPER_NOISE, "(1 - alpha_t).to(y_t) * z"),),
        conditional_gaussian,
    ),
    Mutant(
        "gamma shifted by one index",
        "sampler",
        ((TABLES, "alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t - 1]\n"),),
        loop,
    ),
    Mutant(
        "alpha shifted by one index",
        "sampler",
        ((TABLES, "alpha_t, gamma_t = schedule.alphas[t - 1], schedule.gammas[t]\n"),),
        loop,
    ),
    Mutant(
        "the network sees another level",
        "sampler",
        (("f(x, y_t, gamma_t.expand", "f(x, y_t, gamma_t.sqrt().expand"),),
        loop,
    ),
    Mutant(
        "the variance rule flipped",
        "sampler",
        (
            (
                'posterior_step if variance == "posterior"',
                'posterior_step if variance == "paper"',
            ),
        ),
        loop,
    ),
    Mutant(
        "the start is uniform, not Gaussian",
        "sampler",
        (("torch.randn(shape", "torch.rand(shape"),),
        loop,
    ),
    Mutant(
        "the loop ends at t = 2",
        "sampler",
        (("range(schedule.steps, 0, -1)", "range(schedule.steps, 1, -1)"),),
        loop,
    ),
    Mutant(
        "noise at t = 1",
        "sampler",
        ((GUARD, 'if method == "ancestral" and t > 0 else None'),),
        last_step,
    ),
    Mutant(
        "no noise at t = 2 either",
        "sampler",
        ((GUARD, 'if method == "ancestral" and t > 2 else None'),),
        last_step,
    ),
    Mutant(
        "ancestral noise in DDIM",
        "sampler",
        (("else ddim_step", "else reverse_step"),),
        ddim_order,
    ),
    Mutant(
        "DDIM noise without its root",
        "sampler",
        (("(1 - gamma_before).sqrt()", "(1 - gamma_before)"),),
        ddim_order,
    ),
    Mutant(
        "DDIM signal without its root",
        "sampler",
        (("= gamma_before.sqrt()", "= gamma_before"),),
        ddim_order,
    ),
    Mutant(
        "the line followed to the end of the step",
        "sampler",
        ((LINE, LINE.replace("2 * ", "")),),
        multistep_order,
    ),
    Mutant(
        "the line followed backwards",
        "sampler",
        ((LINE, LINE.replace("y_0 - y_0_before", "y_0_before - y_0")),),
        multistep_order,
    ),
    Mutant(
        "the mean of the last two, a little late",
        "sampler",
        ((LINE, "(y_0 + y_0_before) / 2"),),
        multistep_order,
    ),
    Mutant(
        "an infinite log-SNR unguarded",
        "sampler",
        (("if math.isinf(ahead):\n        return y_0", ""),),
        multistep_order,
    ),
    Mutant(
        "no look ahead",
        "sampler",
        (('if method == "multistep" and y_0_before is not None', "if False"),),
        multistep_order,
    ),
    Mutant(
        "the first y_0 kept for ever",
        "sampler",
        (
            (
                SEEN,
                SEEN.replace(
                    "= y_0,", "= y_0_before if t < schedule.steps - 1 else y_0,"
                ),
            ),
        ),
        multistep_order,
    ),
    Mutant(
        "distances upside down",
        "sampler",
        ((LINE, LINE.replace(RATIO, "(here - before) / (2 * (ahead - here))")),),
        loop,
    ),
    Mutant(
        "a line in gamma",
        "sampler",
        (("log_snr(gammas).tolist()", "gammas.tolist()"),),
        loop,
    ),
    Mutant(
        "a line in the root of the signal",
        "sampler",
        (("log_snr(gammas).tolist()", "gammas.sqrt().tolist()"),),
        loop,
    ),
    Mutant(
        "the worst first",
        "sampler",
        (("key=lambda pair: pair[1])", "key=lambda pair: -pair[1])"),),
        search,
    ),
    Mutant(
        "sorted by name",
        "sampler",
        (("key=lambda pair: pair[1])", "key=lambda pair: pair[0])"),),
        search,
    ),
    Mutant(
        "unsorted edges",
        "sampler",
        ((".sort().values", ""),),
        search,
    ),
    Mutant("p ignored", "loss", (("- eps).abs().pow(p)", "- eps).abs()"),), l2_floor),
    Mutant(
        "p ignored", "loss", (("- eps).abs().pow(p)", "- eps).abs().pow(2)"),), l1_floor
    ),
    Mutant(
        "the loss asks for y_0", "loss", (("- eps).abs()", "- y_0).abs()"),), l2_floor
    ),
    Mutant(
        "L1 is L2",
        "loss",
        (("- eps).abs().pow(p)", "- eps).square()"),),
        median_and_mean,
    ),
    Mutant(
        "no root over 1 - gamma",
        "oracle",
        (("along = (1 - level).sqrt()", "along = (1 - level)"),),
        gaussian_oracle,
    ),
    Mutant(
        "the mean of y_t without its root",
        "oracle",
        (("- level.sqrt() * self.mean", "- level * self.mean"),),
        gaussian_oracle,
    ),
    Mutant(
        "the noise forgotten in S",
        "oracle",
        (("/ (level * self.values + 1 - level)", "/ (level * self.values)"),),
        gaussian_oracle,
    ),
    Mutant(
        "what is left of y_0, not of the noise",
        "oracle",
        (("ratio = gamma * self.values", "ratio = (1 - gamma) * self.values"),),
        gaussian_oracle,
    ),
    Mutant(
        "the floor is a sum",
        "oracle",
        (("return variance.mean().item()", "return variance.sum().item()"),),
        gaussian_oracle,
    ),
    Mutant(
        "L1's floor without its factor",
        "oracle",
        (("(variance * 2 / math.pi).sqrt()", "variance.sqrt()"),),
        gaussian_oracle,
    ),
    Mutant(
        "the median replaced by the mean",
        "oracle",
        (("if self.p == 2 else _median", "if True else _median"),),
        oracle_median_and_mean,
    ),
    Mutant(
        "logsumexp without its guard",
        "oracle",
        ((".logsumexp(1)", ".exp().sum(1).log()"),),
        mixture_score,
    ),
    Mutant(
        "softmax without its guard",
        "oracle",
        (
            (
                ".softmax(1)  #",
                ".exp() / self._log_joint(flat, level).exp().sum(1, True)  #",
            ),
        ),
        mixture_score,
    ),
    Mutant(
        "no root over 1 - gamma",
        "oracle",
        (("means = (1 - level).sqrt()", "means = (1 - level)"),),
        mixture_score,
    ),
    Mutant(
        "the bandwidth forgotten in the density",
        "oracle",
        (("- exponent - volume", "- exponent"),),
        mixture_score,
    ),
    Mutant(
        "a regression network told that all is signal",
        "loss",
        (("x.new_zeros(shape[0])", "x.new_ones(shape[0])"),),
        told_nothing,
    ),
    Mutant(
        "a regression network shown a picture",
        "loss",
        (("x.new_zeros(shape)", "x.new_ones(shape)"),),
        told_nothing,
    ),
    Mutant(
        "diversity on [-1, 1]",
        "metrics",
        (("(samples / 2).var(0)", "samples.var(0)"),),
        unbiased_deviation,
    ),
    Mutant(
        "diversity divides by K",
        "metrics",
        (("(samples / 2).var(0)", "(samples / 2).var(0, correction=0)"),),
        unbiased_deviation,
    ),
    Mutant(
        "diversity is the mean deviation",
        "metrics",
        ((".var(0).flatten(1).mean(1).sqrt()", ".std(0).flatten(1).mean(1)"),),
        unbiased_deviation,
    ),
    Mutant(
        "consistency on [-1, 1]",
        "metrics",
        (("(x.shape[-2], x.shape[-1])) - x) / 2", "(x.shape[-2], x.shape[-1])) - x)"),),
        papers_consistency,
    ),
    Mutant(
        "consistency of the batch",
        "metrics",
        (
            (
                "square().flatten(1).mean(1) * 1e5",
                "square().mean().expand(len(x)) * 1e5",
            ),
        ),
        papers_consistency,
    ),
    Mutant(
        "the fool rate of the other picture",
        "metrics",
        (("(made > original)", "(made < original)"),),
        mistakes,
    ),
    Mutant(
        "ties are no mistakes",
        "metrics",
        ((" + (made == original).double() / 2", ""),),
        mistakes,
    ),
    Mutant(
        "an error without its root",
        "metrics",
        (("/ len(made)) ** 0.5", "/ len(made))"),),
        mistakes,
    ),
    Mutant(
        "JPEG's brightness",
        "evaluation.compare",
        (("[65.481, 128.553, 24.966]", "[76.245, 149.685, 29.07]"),),
        matlabs_luma,
    ),
    Mutant(
        "Y from 0",
        "evaluation.compare",
        (("+ 16).round()", ").round()"),),
        matlabs_luma,
    ),
    Mutant(
        "Y between levels",
        "evaluation.compare",
        (("+ 16).round()", "+ 16)"),),
        matlabs_luma,
    ),
    Mutant(
        "blue before red",
        "evaluation.compare",
        (("[65.481, 128.553, 24.966]", "[24.966, 128.553, 65.481]"),),
        matlabs_luma,
    ),
    Mutant(
        "a border at the top left only",
        "evaluation.compare",
        (("side - 2 * border for", "side - border for"),),
        border_left_out,
    ),
    Mutant(
        "a border at the end only",
        "evaluation.compare",
        (
            (
                "[..., border : border + height, border : border + width]",
                "[..., :height, :width]",
            ),
        ),
        border_left_out,
    ),
    Mutant(
        "one order for all epochs",
        "data.batches",
        (("_order(n, seed, epoch)[", "_order(n, seed, 0)["),),
        every_picture,
    ),
    Mutant(
        "an epoch that ends late",
        "data.batches",
        (("epochs = places // n", "epochs = places // (n + 1)"),),
        every_picture,
    ),
    Mutant(
        "a picture left out",
        "data.batches",
        (("[places[epochs == epoch] % n]", "[places[epochs == epoch] % (n - 1)]"),),
        every_picture,
    ),
    Mutant(
        "clipped",
        "degrade",
        (("align_corners=False)", "align_corners=False).clamp(-1, 1)"),),
        linear,
    ),
    Mutant(
        "rounded to 8 bits",
        "degrade",
        (
            (
                "align_corners=False)",
                "align_corners=False).mul(127.5).round().div(127.5)",
            ),
        ),
        linear,
    ),
    Mutant(
        "not antialiased", "degrade", (("antialias=True", "antialias=False"),), pillow
    ),
    Mutant("bilinear", "degrade", (("mode=mode", 'mode="bilinear"'),), pillow),
    Mutant(
        "the adjoint for the inverse",
        "degrade",
        (("torch.linalg.solve(D @ D.T, D)", "D"),),
        unseen_part,
    ),
    Mutant("all is unseen", "degrade", (("(flat - seen)", "flat"),), unseen_part),
    Mutant(
        "the seen part returned", "degrade", (("(flat - seen)", "seen"),), unseen_part
    ),
    Mutant(
        "variance for deviation",
        "degrade",
        (("sigma.double().clamp(min=1e-3)", "sigma.double().sqrt().clamp(min=1e-3)"),),
        gaussian_blur,
    ),
    Mutant(
        "one sigma for the batch",
        "degrade",
        (("/ sigma.double()", "/ sigma.double().max().expand_as(sigma)"),),
        gaussian_blur,
    ),
    Mutant(
        "a kernel that does not sum to 1",
        "degrade",
        (("weights / weights.sum(1, keepdim=True)", "weights / sigma.max()"),),
        gaussian_blur,
    ),
    Mutant(
        "darkness beyond the border",
        "degrade",
        (
            (
                'F.pad(x, (radius, radius, radius, radius), mode="replicate")',
                'F.pad(x, (radius, radius, radius, radius), mode="constant")',
            ),
        ),
        gaussian_blur,
    ),
    Mutant(
        "blurred one way",
        "degrade",
        (
            (
                "F.conv2d(across, kernels[..., None], groups=len(kernels))",
                "across[..., radius:-radius, :]",
            ),
        ),
        gaussian_blur,
    ),
    Mutant(
        "not clipped",
        "degrade",
        (("return ((x.clamp(-1, 1) + 1)", "return ((x + 1)"),),
        eight_bits,
    ),
    Mutant(
        "cut off, not rounded",
        "degrade",
        (("* 127.5).round()", "* 127.5).floor()"),),
        eight_bits,
    ),
    Mutant(
        "the root of gamma embedded",
        "unet",
        (("log_snr(gamma).clamp(-20, 20)", "gamma.sqrt()"),),
        levels_resolved,
    ),
    Mutant(
        "gamma embedded",
        "unet",
        (("log_snr(gamma).clamp(-20, 20)", "gamma"),),
        levels_resolved,
    ),
    Mutant(
        "cosines first",
        "unet",
        (("[angles.sin(), angles.cos()]", "[angles.cos(), angles.sin()]"),),
        level_embedding,
    ),
    Mutant("no clamp", "unet", ((".clamp(-20, 20)", ""),), level_embedding),
    Mutant(
        "the skip not scaled",
        "unet",
        (("(self.skip(h) + b) * math.sqrt(0.5)", "self.skip(h) + b"),),
        residual_block,
    ),
    Mutant(
        "the skip halved",
        "unet",
        (("(self.skip(h) + b) * math.sqrt(0.5)", "(self.skip(h) + b) * 0.5"),),
        residual_block,
    ),
    Mutant(
        "scale for 1 + scale",
        "unet",
        (("self.norm2(b), 1 + scale)", "self.norm2(b), scale)"),),
        residual_block,
    ),
    Mutant(
        "addition only", "unet", ((MODULATED, "self.norm2(b) + shift"),), residual_block
    ),
    Mutant(
        "added before the normalisation",
        "unet",
        ((MODULATED, "self.norm2(b + shift) * (1 + scale)"),),
        residual_block,
    ),
    Mutant(
        "told gamma, not its root",
        "model.ddpm_unet",
        (("gamma.sqrt()[:, None]", "gamma[:, None]"),),
        public_layout,
    ),
    Mutant(
        "cos before sin",
        "model.ddpm_unet",
        (("[angles.sin(), angles.cos()]", "[angles.cos(), angles.sin()]"),),
        public_layout,
    ),
    Mutant(
        "the level after the norm",
        "model.ddpm_unet",
        (("self.norm2(b)", "self.norm2(b - level) + level"),),
        public_layout,
    ),
    Mutant(
        "skips divided by the root of 2",
        "model.ddpm_unet",
        (
            (
                "return h + self.mixed(h)",
                "return (h + self.mixed(h)) * math.sqrt(0.5)",
            ),
        ),
        public_layout,
    ),
    Mutant(
        "y_t before x",
        "model.ddpm_unet",
        (
            (
                "[enlarged(x, (y_t.shape[-2], y_t.shape[-1])), y_t]",
                "[y_t, enlarged(x, (y_t.shape[-2], y_t.shape[-1]))]",
            ),
        ),
        public_layout,
    ),
    Mutant(
        "weights that are not divided by their sum",
        "upscaling.tiled",
        (("hill / total[place : place + window]", "hill"),),
        window_weights,
    ),
    Mutant(
        "windows that all show the same corner of x",
        "upscaling.tiled",
        (("self.left // factor", "0"),),
        tiled_by_hand,
    ),
    Mutant(
        "windows that are pasted, not blended",
        "upscaling.tiled",
        (("answer * window.weight.to(answer)", "answer"),),
        tiled_by_hand,
    ),
    Mutant(
        "windows that all weigh the same",
        "upscaling.tiled",
        ((".sin().pow(4)", ".sin().pow(0)"),),
        window_weights,
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_check_11_a_mutant_fails_its_named_check(mutant: Mutant) -> None:
    """Check 11: the check raises on the mutant."""
    broken = room(mutant.room, *mutant.edits)
    with pytest.raises(AssertionError):
        mutant.check(broken)


@pytest.mark.parametrize(
    ("check", "name"),
    sorted({(m.check, m.room) for m in MUTANTS}, key=str),
    ids=lambda part: getattr(part, "__name__", part),
)
def test_check_11_the_named_check_passes_on_the_room_as_it_stands(
    check: Callable[[ModuleType], None], name: str
) -> None:
    """Check 11: loaded in the same way, without the edit, so that the edit is what the
    check saw.
    """
    check(room(name))


def test_check_11_every_check_has_a_mutant_that_it_catches() -> None:
    """Check 11: a check that nothing fails would prove nothing."""
    used = {name for mutant in MUTANTS for name in mutant.check.__code__.co_names}
    assert {name for name in vars(checks) if name.startswith("check_")} <= used


def test_check_11_the_schedule_refuses_a_table_that_is_no_running_product() -> None:
    """Check 11: with its guard in place, the slip cannot even be made."""
    broken = room("schedule", ("alphas.cumprod(0)", "alphas.prod().expand_as(alphas)"))
    with pytest.raises(ValueError, match="entry 0 of alphas and gammas must be 1"):
        broken.NoiseSchedule.from_alphas(torch.tensor([0.5, 0.8]))
