#!/usr/bin/env python3
"""llama.cpp (package llama-cpp-python) on one file: loads, measures, and prints one JSON object.

usage: llama_cpp_run.py MODEL [--threads 2] [--context 2048] [--prefill N ...] [--decode N]
       [--plain]

load_seconds: from before loading to the first token of a prompt of 16. prefill: tokens a second per
length. decode: tokens a second after a prompt of 16. --plain: without repacked weights (AMX).
"""
import argparse
import ctypes
import json
import platform
import re
import time
from pathlib import Path

import llama_cpp
import llama_cpp.llama_cpp as bindings


def peak_bytes():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024


def request_tile_registers():
    """What llama.cpp's AMX kernels need from Linux; its build for llama-cpp-python does not ask."""
    if platform.machine() == "x86_64":
        ctypes.CDLL(None).syscall(158, 0x1023, 18)  # arch_prctl, ARCH_REQ_XCOMP_PERM, tile data


def main():
    request_tile_registers()
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--prefill", type=int, nargs="*", default=[])
    parser.add_argument("--decode", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    if arguments.plain:
        defaults = bindings.llama_model_default_params

        def plain():
            parameters = defaults()
            parameters.use_extra_bufts = False
            return parameters

        bindings.llama_model_default_params = plain

    def tokens(count):
        return [(i * 997 + 300) % model.n_vocab() for i in range(count)]

    started = time.perf_counter()
    model = llama_cpp.Llama(arguments.model, n_ctx=arguments.context, n_batch=512, n_ubatch=512,
                            n_threads=arguments.threads, n_threads_batch=arguments.threads,
                            verbose=False)
    model.eval(tokens(16))
    found = {"load_seconds": time.perf_counter() - started, "prefill": {}}
    for count in arguments.prefill:
        model.reset()
        started = time.perf_counter()
        model.eval(tokens(count))
        found["prefill"][count] = count / (time.perf_counter() - started)
    if arguments.decode:
        model.reset()
        model.eval(tokens(16))
        model.eval([300])
        started = time.perf_counter()
        for token in tokens(arguments.decode):
            model.eval([token])
        found["decode"] = arguments.decode / (time.perf_counter() - started)
    found["peak_bytes"] = peak_bytes()
    found["system"] = bindings.llama_print_system_info().decode()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
