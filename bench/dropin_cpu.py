"""What dropin.py decode shows of CPU rows: answers, where the CPU's time goes, the share. A GPU's
only."""
import statistics

import dropin_setup as setup
import spillway.torch
import torch
from spillway.torch import cpu_rates

MOST_ERROR = 1e-2  # relative, of 16-bit logits


def rows():
    """The CpuRows of spillway.torch; None: off."""
    return spillway.torch._active.streamer.cpu_rows


def check_answers(run, model, ids, wanted):
    """The prompt is the GPU's alone; a token's logits differ by rounding, always the same."""
    got, again = setup.answers(model, ids), setup.answers(model, ids)
    run.check("logits_of_the_prompt_equal_resident", torch.equal(got[0], wanted[0]))
    errors = [relative_error(one, other) for one, other in zip(got[1:], wanted[1:], strict=True)]
    run.say("relative_error", f"{max(errors):.2e} in the logits of a token", errors)
    run.check("relative_error_is_small", max(errors) <= MOST_ERROR)
    run.check("the_same_twice", setup.equal(got, again))


def relative_error(got, wanted):
    return ((got.float() - wanted.float()).norm() / wanted.float().norm()).item()


class RatesOfRounds:
    """After each round of decode, as those that the share is found from: on a host that others
    share they are now half and now twice what they were when that was settled."""

    def __init__(self):
        self.found = []

    def __call__(self, model, ids):
        streamer = spillway.torch._active.streamer
        self.found.append(cpu_rates.measure(streamer.device, streamer.pool, rows().worker))
        setup.generate_seconds(streamer.device.synchronize, model, ids, 2)  # has its memory again


def say_bound(run, decode_seconds, needed_bytes, found):
    """`needed_bytes`: of weights that HBM has no room for; `found`: the rates of the rounds."""
    first = rows().rates
    for key, rates in (("rates_first", first), *((f"rates_{i}", one)
                                                 for i, one in enumerate(found, 1))):
        run.say(key, f"link alone {rates.link_alone / 1e9:.1f} GB/s; side by side link "
                f"{rates.link / 1e9:.1f}, CPU {rates.cpu[1] / 1e9:.1f}; HBM {rates.hbm / 1e9:.0f}",
                {"link_alone": rates.link_alone, "link": rates.link, "hbm": rates.hbm,
                 "cpu_by_tokens": rates.cpu})
    alone = needed_bytes / (first.link + first.cpu[1])
    run.say("of_link_and_cpu_bound_first", f"{decode_seconds / alone:.3f}, by the rates before the "
            f"model was there; that bound is {alone * 1e3:.1f} ms", decode_seconds / alone)
    bound = needed_bytes / statistics.median(rates.link + rates.cpu[1] for rates in found)
    run.say("of_link_and_cpu_bound", f"{decode_seconds / bound:.3f}; the bound is "
            f"{bound * 1e3:.1f} ms", decode_seconds / bound)


def say_shares(run, model, ids, shares):
    """Milliseconds a token by share."""
    cpu, options = rows(), run.options
    for share in shares:
        cpu.cut_anew(share)
        setup.generate_seconds(run.where.synchronize, model, ids, 3)
        before = cpu.worker.statistics()
        seconds, _ = setup.decode_seconds(run.where.synchronize, model, ids, options.tokens)
        run.say(f"share_{share}", f"{seconds * 1e3:.1f} ms a token; {times(before, options)}",
                seconds * 1e3)


def times(before, options):
    """Of the CPU since `before`, a token."""
    done, tokens = rows().worker.statistics(), options.tokens - 1
    names = {"busy": "busy_seconds", "waiting for x": "x_seconds",
             "for the link": "link_seconds", "without work": "idle_seconds"}
    return ", ".join(f"{name} {(getattr(done, field) - getattr(before, field)) * 1e3 / tokens:.1f}"
                     for name, field in names.items())
