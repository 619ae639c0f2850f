// libFuzzer's entry for programs that have a main function of their own (compiler-rt, lib/fuzzer/FuzzerDriver).
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*user_callback)(const uint8_t *data, size_t size));
