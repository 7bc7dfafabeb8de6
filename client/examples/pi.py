"""A step through the PI controller of kmod/examples/pi, seen at every tick.

The controller runs in the kernel, at 1 kHz, on a plant with a time constant of
100 ms. Setpoint and gains go in by one write, output and error come back with
the region's history:

    rtshm create pi --period 1ms --history 4096 --layout \
        'setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16'
    insmod rtshm_pi.ko
    python3 pi.py step.png        # or step.npz; --from step.npz draws it later

Without the module, and with no other difference to be seen in the samples, the
controller is a BPF program, which is compiled, loaded and removed here:

    python3 pi.py --task pi.bpf.c step.png
"""

import argparse
import math
from contextlib import nullcontext
from pathlib import Path

import numpy
import rtshm

TAU_S = 0.1  # of the plant
KP = 2.0
KI = KP / TAU_S  # the controller's zero on the plant's pole
LOOP_TAU_S = TAU_S / KP  # what is left: 1 - exp(-t / LOOP_TAU_S)


def step(ticks=2000, before=100):
    """What the ticks saw of a step from 0 to 1: an array, `before` ticks of it at 0."""
    with rtshm.open("pi") as region, rtshm.Samples("pi", watermark=100) as samples:
        region.write({"setpoint": 0, "kp": KP, "ki": KI, "output": 0, "error": 0, "drive": 0})
        while abs(samples.read_array(before)["output"]).max() > 1e-3:
            pass  # until it is at rest
        found = [samples.read_array(before)]
        region.update(setpoint=1)
        # The history may be some seconds behind: what is not read yet is from before the step.
        while numpy.count_nonzero((seen := numpy.concatenate(found))["setpoint"]) < ticks:
            found.append(samples.read_array())
        if samples.lost:
            raise SystemExit(f"{samples.lost} samples were lost")
    first = numpy.flatnonzero(seen["setpoint"])[0]
    return seen[first - before : first + ticks]


def controller(program):
    """The BPF program as a task of the region, as long as the context lasts."""
    if program is None:
        return nullcontext()
    return rtshm.Task("pi", **{"source" if program.suffix == ".c" else "program": program})


def settled_s(samples, within=0.01):
    """Seconds from the step until the output stays within this fraction of the setpoint."""
    first = numpy.flatnonzero(samples["setpoint"])[0]
    outside = numpy.flatnonzero(abs(samples["output"][first:] - 1) > within)
    return (samples["time_ns"][first + outside[-1] + 1] - samples["time_ns"][first]) / 1e9


def draw(samples, path):
    """The response compared with theory, and how late the ticks were."""
    import matplotlib.pyplot as plt

    first = numpy.flatnonzero(samples["setpoint"])[0]
    ms = (samples["time_ns"] - samples["time_ns"][first]) / 1e6
    theory = numpy.where(ms >= 0, 1 - numpy.exp(-ms.clip(0) / 1e3 / LOOP_TAU_S), 0)
    figure, (response, jitter) = plt.subplots(2, height_ratios=(2, 1), figsize=(9, 7))

    shown = ms < 600
    for name, style in (("drive", "C1"), ("setpoint", "k"), ("output", "C0")):
        response.plot(ms[shown], samples[name][shown], style, label=name)
    response.plot(ms[shown], theory[shown], "C3:", label="theory")
    settled = settled_s(samples) * 1e3
    response.axvline(settled, color="0.7", zorder=0)
    response.annotate(
        f"1 % at {settled:.0f} ms", (settled, 0.1), (5, 0), textcoords="offset points"
    )
    response.set(
        xlabel="time from the step, ms", title="A step through a PI controller in the tick"
    )
    response.legend(loc="upper right")

    late = samples["lateness_ns"] / 1e3
    jitter.hist(late, bins=100)
    jitter.set(yscale="log", xlim=(0, None), xlabel="lateness of a tick, us", ylabel="ticks")
    jitter.set_title(
        f"{len(late)} ticks: median {numpy.median(late):.1f} us late, at most {late.max():.1f} us"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="a picture, or an .npz of the samples")
    parser.add_argument("--from", dest="source", type=Path, help="draw this .npz, record nothing")
    parser.add_argument("--task", type=Path, help="the controller: pi.bpf.c, or its object file")
    options = parser.parse_args()
    if options.source:
        samples = numpy.load(options.source)["samples"]
    else:
        with controller(options.task):
            samples = step()
    if options.output.suffix == ".npz":
        numpy.savez(options.output, samples=samples)
    else:
        draw(samples, options.output)
    theory = LOOP_TAU_S * math.log(100)
    print(f"within 1 % after {settled_s(samples) * 1e3:.0f} ms; theory: {theory * 1e3:.0f} ms")
