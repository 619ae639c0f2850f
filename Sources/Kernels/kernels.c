#include "kernels.h"

// LANES: floats in a vector register; ROWS: rows of the product's register tile, as many as the registers hold beside two vectors of b and one of a.
#define NAME(f) f##_scalar
#define LANES 4
#define ROWS 6
#include "kernels.inc"
#undef NAME
#undef LANES
#undef ROWS

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define NAME(f) f##_avx2
#define LANES 8
#define ROWS 6
#include "kernels.inc"
#undef NAME
#undef LANES
#undef ROWS
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"), min_vector_width(512))), apply_to = function)
#define NAME(f) f##_avx512
#define LANES 16
#define ROWS 14
#include "kernels.inc"
#undef NAME
#undef LANES
#undef ROWS
#pragma clang attribute pop

// The same again, but for the products in bfloat16.
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"), min_vector_width(512))), apply_to = function)
#define NAME(f) f##_avx512
#define LANES 16
#define ROWS 14
#define VECTOR NAME(vector)
#define PANEL (2 * LANES)
#define P(f) f##_avx512bf16
#define BFLOAT_DOT
#include "bfloat.inc"
#undef BFLOAT_DOT
#undef PANEL
#undef VECTOR
#define TABLE table_avx512bf16
#define BFLOAT(f) P(f)
#include "table.inc"
#undef TABLE
#undef BFLOAT
#undef P
#undef NAME
#undef LANES
#undef ROWS
#pragma clang attribute pop

int sdl_cpu_level(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return __builtin_cpu_supports("avx512bf16") ? SDL_AVX512BF16 : SDL_AVX512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? SDL_AVX2 : SDL_SCALAR;
}

const sdl_kernel_table *sdl_kernels(int level) {
  switch (level) {
    case SDL_AVX512BF16: return &table_avx512bf16;
    case SDL_AVX512: return &table_avx512;
    case SDL_AVX2: return &table_avx2;
    default: return &table_scalar;
  }
}

#else

// Other processors: the plain loops, vectorised for the baseline (NEON on arm64).
int sdl_cpu_level(void) { return SDL_SCALAR; }
const sdl_kernel_table *sdl_kernels(int level) { (void)level; return &table_scalar; }

#endif
