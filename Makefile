# sdlab: `make help` lists the targets.

PREFIX ?= /usr/local
# Where PyTorch and diffusers are installed for `make goldens` and `make bench`; git does not see it.
VENV ?= .venv
# Executions of each fuzz target, and which of them.
RUNS ?= 1000000
FUZZ ?= safetensors pickle zip npy npz config image-metadata
# Turns of `make bench`.
TURNS ?= 5

SWIFT = swift
BINARIES = .build/release
# Tests see internal names, which changes how everything is compiled: a folder of their own spares building all of it anew each time.
TESTS = --scratch-path .build-test -c release -Xswiftc -enable-testing
SOURCES = Package.swift Sources Tests Benchmarks Fuzz
PROMPT ?= a red house next to a green tree at night
REPORT = out/explore.html

.DEFAULT_GOAL := help
.PHONY: help explore build test install uninstall setup lint format goldens fuzz bench profile bench-layout browser notebooks reports reference truth judge default-model clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

explore: build ## make a picture, look inside and tell it in one HTML report (PROMPT=...)
	@mkdir -p $(dir $(REPORT))
	@SDLAB_RUNS=out/runs $(BINARIES)/sdlab explore "$(PROMPT)" -f -o $(REPORT) > /dev/null
	@echo "The report is in $(REPORT): open it in a browser. Next: $(BINARIES)/sdlab explore \"a blue boat on the sea\""

build: setup ## build sdlab into .build/release
	$(SWIFT) build -c release

test: setup lint ## run all tests
	$(SWIFT) test $(TESTS)

lint: ## check the format of all Swift sources
	$(SWIFT) format lint --strict -p -r $(SOURCES)

format: ## bring all Swift sources into the common format
	$(SWIFT) format -i -p -r $(SOURCES)

install: build ## install to PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/sdlab
	install $(BINARIES)/sdlab $(DESTDIR)$(PREFIX)/bin/sdlab
	cp -R Resources/. $(DESTDIR)$(PREFIX)/share/sdlab/

uninstall: ## remove what `make install` installed
	rm -rf $(DESTDIR)$(PREFIX)/bin/sdlab $(DESTDIR)$(PREFIX)/share/sdlab

setup: ## install the Debian packages that are missing
	@Scripts/setup

goldens: $(VENV)/ready ## make the goldens of diffusers again (Tests/Goldens)
	set -e; for script in random_numbers tokenizer samplers imaging tiny adapters embedded heatmaps attention patch studies lens features information inversion directions gradients adapter_training autoencoder_training optimisers npy projections metrics extractors truth watermark tensorboard_events judge segmentation ticks palettes; do \
	  echo "$$script"; $(VENV)/bin/python Tests/Goldens/make/$$script.py; done
	$(VENV)/bin/python Tests/Goldens/make/sd15.py --tiny
	git status --short Tests/Goldens

$(VENV)/ready: Tests/Goldens/make/requirements.txt
	Scripts/setup python3-venv
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r $<
	@touch $@

fuzz: setup ## fuzz the readers of files from outside, RUNS executions each
	set -e; for target in $(FUZZ); do Fuzz/run.sh $$target $(RUNS); done

# Compiled PyTorch needs a C++ compiler and Python's headers.
bench: build $(VENV)/ready ## all of Benchmarks/RESULTS.md anew, beside PyTorch and OpenVINO, TURNS turns each (hours)
	Scripts/setup g++ python3-dev linux-perf
	$(VENV)/bin/python Benchmarks/embedded.py --sdlab $(BINARIES)/sdlab --turns $(TURNS) --write
	$(VENV)/bin/python Benchmarks/start.py --sdlab $(BINARIES)/sdlab --turns $(TURNS) --write
	$(VENV)/bin/python Benchmarks/compare.py --sdlab-bench $(BINARIES)/sdlab-bench --turns $(TURNS) --write
	$(VENV)/bin/python Benchmarks/training.py --sdlab $(BINARIES)/sdlab --turns $(TURNS) --write
	$(VENV)/bin/python Benchmarks/hotspots.py --sdlab-bench $(BINARIES)/sdlab-bench --write

profile: build $(VENV)/ready ## where the time of a UNet step and of the VAE goes, into Benchmarks/RESULTS.md
	Scripts/setup linux-perf
	$(VENV)/bin/python Benchmarks/hotspots.py --sdlab-bench $(BINARIES)/sdlab-bench --write

bench-layout: setup ## the measurements behind the memory layout
	@mkdir -p .build-layout
	clang -O3 -std=gnu17 $$(pkg-config --cflags openblas) -ISources/Kernels/include Benchmarks/layout/layout.c Sources/Kernels/kernels.c \
	  $$(pkg-config --libs openblas) -lm -lpthread -o .build-layout/layout
	.build-layout/layout

browser: setup ## open a report in Chromium and check it: hovering, keyboard, accessibility
	Tests/Browser/run

# What a run keeps so that its report shows all that there is.
SITES = --sites 'unet.*.attn2.probs' 'unet.*.attn1.probs@heads' unet.up_blocks.2.resnets.0.out
TRACE = SDLAB_RUNS=out/runs $(BINARIES)/sdlab trace --sampler dpmpp-2m --steps 20 -q

reports: build ## make the example reports again
	SDLAB_RUNS=out/runs $(BINARIES)/sdlab explore "a red house next to a green tree at night" -f -q -o reports/red-house.html
	SDLAB_RUNS=out/runs $(BINARIES)/sdlab report -f -q -o reports/guidance.html \
	  $$(for w in 1 3 8; do $(TRACE) "a red house at night" --guidance $$w $(SITES); done)
	SDLAB_RUNS=out/runs $(BINARIES)/sdlab report -f -q -o reports/two-prompts.html \
	  $$(for c in red blue; do $(TRACE) "a $$c house next to a tree" $(SITES); done)

notebooks: build ## run the notebooks from top to bottom
	notebooks/run

reference: build ## compute anew where the reference scenes lie in the model that comes with sdlab
	$(BINARIES)/sdlab reference -f -o Resources/scenes-reference/features.safetensors

truth: build ## score the explanations of the model that comes with sdlab anew: what reports go by
	$(BINARIES)/sdlab truth --scenes 600 --validation 300 -f -o reports/truth.html --evidence Resources/scenes-truth.json

judge: build ## train the judge of scenes that comes with sdlab anew (a quarter of an hour)
	rm -rf out/judge
	$(BINARIES)/sdlab train classifier --half --out out/judge
	rm -rf Resources/scenes-judge
	cp -R out/judge/model Resources/scenes-judge

default-model: build ## train the model that comes with sdlab anew (five hours); interrupted, it goes on
	Scripts/default-model $(BINARIES)/sdlab out/default-model

clean: ## remove what was built
	rm -rf .build .build-test .build-layout Fuzz/.build
