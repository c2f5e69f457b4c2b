"""Accelerator hours on paper, for hardware that nothing was measured on."""

from gecko_kedro.base.errors import InputError

FORWARD, TRAINING, CACHED_TRAINING = 2, 6, 8  # operations for each weight and token


def accelerator_hours(
    *, weights: float, tokens: float, operations: int, peak: float, utilisation: float
) -> float:
    """Hours of one accelerator: operations x weights x tokens / (peak x utilisation).

    ``operations`` for each weight and token: 2 forward, 6 with the backward pass (Kaplan et al.
    2020, arXiv 2001.08361, section 2.1), 8 with gradient caching, which embeds twice. ``peak`` is
    the accelerator's rate by its data sheet, in operations a second, and ``utilisation`` the share
    of it that is reached. Attention over long texts comes on top. A figure on paper: calibrate on
    the hardware itself where it can be had.
    """
    if peak <= 0 or not 0 < utilisation <= 1:
        raise InputError(
            "accelerator",
            expected="a peak above 0 and a utilisation above 0 and at most 1",
            got=(peak, utilisation),
            fix="Take the peak of the data sheet, and a utilisation such as 0.4.",
        )
    return operations * weights * tokens / (peak * utilisation) / 3600
