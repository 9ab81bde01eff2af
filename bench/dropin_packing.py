"""What bench/dropin.py says of packed weights. One thread."""
import time

import dropin_setup as setup
from dropin_setup import GIB


def say_packed(run, model, ids, after=""):
    """Lets what streams be packed: how long that took, what a token took meanwhile, and what there
    is now. `after` the names of what is said."""
    packing = run.where.streamer.packing
    if packing is None:
        return
    setup.generate_seconds(run.where.synchronize, model, ids, 1)  # the order is learned
    started = time.perf_counter()
    token, _ = setup.decode_seconds(run.where.synchronize, model, ids, run.options.tokens)
    packing.wait()
    seconds = time.perf_counter() - started
    numbers = packing.numbers()
    plain, packed = numbers["plain_bytes"], numbers["packed_bytes"]
    run.say(f"packed{after}", f"{numbers['weights']} weights, {plain / GIB:.2f} GiB as "
            f"{packed / GIB:.2f} ({packed / max(1, plain):.3f}), {numbers['way']}, within "
            f"{seconds:.1f} s", numbers)
    run.say(f"while_packing_ms{after}", f"{token * 1e3:.1f} a token", token * 1e3)
