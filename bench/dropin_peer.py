"""bench/dropin.py in turns with Accelerate with as much HBM. One thread."""
import json
import statistics
import subprocess
import sys
from pathlib import Path

import dropin_setup as setup
from dropin_setup import GIB


def against(run, model, ids, alone):
    """In turns, after the memory was sampled: the driver does not tell processes apart."""
    options = run.options
    words = [sys.executable, str(Path(__file__).parent / "peers" / "accelerate_offload.py"),
             "--hbm-weights", str(options.hbm_budget - GIB), "--tokens", str(options.peer_tokens)]
    for name in ("layers", "hidden", "ffn", "vocabulary", "prompt"):
        words += [f"--{name}", str(getattr(options, name))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        def answer():
            line = peer.stdout.readline()
            if not line:
                raise RuntimeError("the peer has ended; see what it wrote")
            return json.loads(line)

        held, ours, theirs = answer()["hbm_bytes"], [], []
        for _ in range(options.rounds):
            peer.stdin.write("\n")
            peer.stdin.flush()
            theirs.append(answer()["token_seconds"])
            ours.append(setup.decode_seconds(run.where.synchronize, model, ids, options.tokens)[0])
        peer.stdin.close()
    ratio = statistics.median(theirs) / statistics.median(ours)
    run.say("accelerate_ms", f"{statistics.median(theirs) * 1e3:.0f} a token, with "
            f"{held / GIB:.2f} GiB in HBM", [value * 1e3 for value in theirs])
    run.say("ours_in_turns_ms", f"{statistics.median(ours) * 1e3:.1f} a token; alone "
            f"{alone * 1e3:.1f}", [value * 1e3 for value in ours])
    run.say("times_faster", f"{ratio:.2f}", ratio)
