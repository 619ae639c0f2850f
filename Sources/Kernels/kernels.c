#include "kernels.h"

#define NAME(f) f##_scalar
#include "kernels.inc"
#undef NAME

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define NAME(f) f##_avx2
#include "kernels.inc"
#undef NAME
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"), min_vector_width(512))), apply_to = function)
#define NAME(f) f##_avx512
#include "kernels.inc"
#undef NAME
#pragma clang attribute pop

int sdl_cpu_level(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return SDL_AVX512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? SDL_AVX2 : SDL_SCALAR;
}

const sdl_kernel_table *sdl_kernels(int level) {
  switch (level) {
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
