#!/bin/sh
# Builds the fuzz targets with libFuzzer and the address sanitizer and runs one: Fuzz/run.sh zip 1000000
# What it finds (crash-*, oom-*, timeout-*) stays in Fuzz/finds; the exit code tells.
set -eu
target=${1:?usage: Fuzz/run.sh TARGET RUNS}
runs=${2:?usage: Fuzz/run.sh TARGET RUNS}
cd "$(dirname "$0")"
swift build -c release -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld
python3 seeds.py corpus
python3 image_seeds.py corpus
mkdir -p "grown/$target" finds
exec .build/release/Fuzz "$target" -runs="$runs" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
  -print_final_stats=1 -artifact_prefix="finds/$target-" "grown/$target" "corpus/$target"
