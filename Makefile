# What people type. Each target is one program in tools/, which says how it works.
MODEL := models/SmolLM2-135M-Instruct.Q4_1.gguf
QUESTION ?= Which is the tallest mountain in the world?
BUDGET ?= 64MiB
FUZZ_SECONDS ?= 600

.PHONY: help answer test check asan ubsan tsan fuzz bench clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

answer: ## set up, build, and answer QUESTION within BUDGET, which is less than the model needs
	@tools/setup build
	@tools/build release spillway
	@tools/model >/dev/null
	@build/release/bin/spillway run $(MODEL) "$(QUESTION)" --host-budget $(BUDGET)

test: ## set up, build, and run every test that needs no GPU
	@tools/setup test
	@tools/test

check: ## format, static analysis, layer order, sizes, docs
	@tools/setup check
	@tools/check

asan: ## the C++ tests with AddressSanitizer
	@tools/setup test
	@tools/test --preset asan

ubsan: ## the C++ tests with UndefinedBehaviorSanitizer
	@tools/setup test
	@tools/test --preset ubsan

tsan: ## the C++ tests with ThreadSanitizer
	@tools/setup test
	@tools/test --preset tsan

fuzz: ## every fuzz target for FUZZ_SECONDS
	@tools/setup test
	@tools/fuzz --seconds $(FUZZ_SECONDS)

bench: ## the benchmarks, release build
	@tools/setup check
	@tools/bench

clean: ## remove what was built; the model stays
	rm -rf build .cache .venv
