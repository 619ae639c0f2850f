// SIMD inner loops. Not API of the package: only Engine and Analysis include them. No state, no allocation, no threads.
//
// Every function exists once in the source (kernels.inc) and is compiled for several instruction sets; `sdl_kernels(level)` gives the
// table of one of them. All arrays are float32, contiguous unless a stride (in floats) is given.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Matrix products with a right side packed in panels of float32, of half precision or of bfloat16; see product.inc.
typedef struct {
  // b = (scale w)^T for w [n, k] with row stride ldw, panels from..<to of [panels, k, panel_width]; with `taps` above 1, w is [n, k / taps, taps]
  void (*pack_transposed)(const float *w, size_t n, size_t k, size_t taps, size_t ldw, float scale, size_t from, size_t to, void *b);
  // b = v for v [k, n] with row stride ldv
  void (*pack_rows)(const float *v, size_t n, size_t k, size_t ldv, void *b);
  // c = (c if `adds`) + bias + a b, columns of the panels from..<to; bias may be null
  void (*panel_product)(size_t m, size_t n, size_t k, size_t from, size_t to, const float *a, size_t lda, const void *b, const float *bias,
                        int adds, float *c, size_t ldc);
  // Winograd's transform of one panel of a 3x3 convolution, [9, in, panel_width], for the input channels from..<to: 36 matrices [to - from, panel_width]; see
  // winograd_weights.inc
  void (*winograd_weights)(const void *b, size_t in, size_t from, size_t to, float *u, size_t matrix);
  // The same for tiles of 8x8 pixels: 64 matrices
  void (*wide_weights)(const void *b, size_t in, size_t from, size_t to, float *u, size_t matrix);
  // The same for the position (down, right) in a doubled picture: 25 matrices; see winograd_doubled_weights.inc
  void (*doubled_weights)(const void *b, size_t in, size_t down, size_t right, size_t from, size_t to, float *u, size_t matrix);
} sdl_panels;

// Winograd's transforms of pictures; see winograd.inc.
typedef struct {
  void (*input)(const float *x, size_t h, size_t w, size_t c, size_t from, size_t to, const float *zeros, float *v, size_t matrix);
  void (*output)(const float *m, size_t matrix, size_t ldm, size_t h, size_t w, size_t c, size_t from, size_t to, const float *bias, int adds, float *y,
                 size_t ldy);
} sdl_tiles;

typedef struct {
  // x[i] = silu(x[i]) = x / (1 + exp(-x))
  void (*silu)(float *x, size_t n);
  // x[i] = x/2 * (1 + erf(x / sqrt 2)): the exact GELU (Hendrycks & Gimpel 2016), as torch's default
  void (*gelu)(float *x, size_t n);
  // x[i] = x / (1 + exp(-1.702 x)): CLIP's approximation
  void (*quick_gelu)(float *x, size_t n);
  // in is [rows, 2c]; out[r, i] = in[r, i] * gelu(in[r, c + i]) (Shazeer 2020)
  void (*geglu)(const float *in, float *out, size_t rows, size_t c);
  // x[i] += y[i]
  void (*add)(float *x, const float *y, size_t n);
  // The largest of n numbers of 16 or 32 bits, which need not be aligned, read as integers without their highest bit: by it, floats are in the order of their
  // magnitudes, infinity and NaN last
  uint32_t (*largest_bits16)(const void *x, size_t n);
  uint32_t (*largest_bits32)(const void *x, size_t n);
  // sum[c] += sum over rows of x[r, c]; squares[c] += sum of squares; in double, since group norm subtracts two near values
  void (*channel_sums)(const float *x, size_t rows, size_t c, double *sum, double *squares);
  // y[r, c] = x[r, c] * scale[c] + shift[c], then silu if asked; y may be x
  void (*scale_shift)(const float *x, float *y, size_t rows, size_t c, const float *scale, const float *shift, int silu);
  // layer norm of each row over c channels: (x - mean) / sqrt(var + eps) * weight + bias; y may be x
  void (*layer_norm)(const float *x, float *y, size_t rows, size_t c, const float *weight, const float *bias, float eps);
  // One block of an online softmax (Milakov & Gimelshein 2018). scores is [rows, columns] with row stride ld and becomes exp(scores - new
  // maximum); maximum[r] and sum[r] are updated; accumulated [rows, d] with stride ldo is rescaled to the new maximum.
  // `first`: nothing was accumulated before. Row r looks at min(columns, visible + r) columns if visible > 0 (causal); the rest become 0.
  void (*softmax_block)(float *scores, size_t ld, size_t rows, size_t columns, size_t visible, float *maximum, float *sum, float *accumulated,
                        size_t ldo, size_t d, int first);
  // x[r, 0..<d] /= sum[r]
  void (*divide_rows)(float *x, size_t ld, size_t rows, size_t d, const float *sum);
  // Softmax of each row, in place; `visible` as above.
  void (*softmax_rows)(float *x, size_t rows, size_t columns, size_t visible);

  // Projections; see projection.inc.
  size_t (*select_below)(const float *v, size_t n, float limit, int32_t first, int32_t *index, float *value);
  size_t (*count_below)(const float *v, size_t n, float limit);
  float (*squared_distance)(const float *a, const float *b, size_t n);
  void (*repulsion_rows)(const float *x, const float *y, const float *z, size_t n, size_t from, size_t to, float *fx, float *fy, float *fz,
                         double *potential);
  void (*attraction_rows)(const int64_t *starts, const int32_t *columns, const float *p, const float *x, const float *y, const float *z,
                          size_t from, size_t to, float *fx, float *fy, float *fz);
  void (*spread)(const float *x, const float *y, size_t n, float *grid, size_t stride);
  void (*interpolate)(const float *x, const float *y, size_t n, const float *grid, size_t stride, float *value, float *dx, float *dy);
  void (*fft_pass)(size_t radix, size_t n, size_t s, size_t batch, const float *xr, const float *xi, float *yr, float *yi,
                   const float *cosine, const float *sine);
  void (*umap_rows)(const int64_t *starts, const int32_t *columns, const float *period, float *due, size_t n, size_t d, size_t from, size_t to,
                    float epoch, float rate, float alpha, float a, float b, uint64_t seed, const float *old, float *now);

  // Columns of a panel.
  size_t panel_width;
  sdl_panels single, half;
  // Both sides rounded to bfloat16, see bfloat.inc: panels of pairs, [panels, (k + 1) / 2, panel_width] of 32 bits. Winograd's transforms have none.
  sdl_panels bfloat;

  // 3x3 convolutions by Winograd's algorithm: tiles of 6x6 pixels for 4x4 results, and of 8x8 for 6x6.
  sdl_tiles small_tiles, wide_tiles;
  // The same behind a doubling by nearest neighbours; see winograd_doubled.inc.
  void (*doubled_input)(const float *x, size_t h, size_t w, size_t c, size_t down, size_t right, size_t from, size_t to, const float *zeros, float *v,
                        size_t matrix);
  void (*doubled_output)(const float *m, size_t matrix, size_t ldm, size_t h, size_t w, size_t c, size_t down, size_t right, size_t from, size_t to,
                         const float *bias, float *y, size_t ldy);
  // The gradient of their weight; see winograd_gradient.inc.
  void (*winograd_result_gradient)(const float *g, size_t h, size_t w, size_t c, size_t from, size_t to, float *m, size_t matrix);
  void (*winograd_weight_gradient)(const float *u, size_t pairs, size_t from, size_t to, float *g);

  // Derivatives and the optimiser's inner loop; see gradients.inc.
  void (*silu_gradient)(const float *x, const float *g, float *out, size_t n);
  void (*gelu_gradient)(const float *x, const float *g, float *out, size_t n);
  void (*quick_gelu_gradient)(const float *x, const float *g, float *out, size_t n);
  void (*geglu_gradient)(const float *in, const float *g, float *out, size_t rows, size_t c);
  void (*column_sums)(const float *x, size_t rows, size_t c, double *sum);
  void (*norm_sums)(const float *x, const float *g, float *out, size_t rows, size_t c, const float *scale, const float *shift, int silu,
                    double *sum, double *moment);
  void (*norm_combine)(const float *x, float *out, size_t rows, size_t c, const float *a, const float *b, const float *d);
  void (*layer_norm_gradient)(const float *x, const float *g, float *out, size_t rows, size_t c, const float *weight, float eps, double *gw,
                              double *gb);
  void (*softmax_gradient)(const float *p, float *g, size_t rows, size_t columns);
  void (*adam_step)(float *p, const float *g, float *m, float *v, size_t n, float scale, float beta1, float beta2, float keep, float step,
                    float root, float eps);
} sdl_kernel_table;

// Tells the processor that a loop only waits.
static inline void sdl_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

enum { SDL_SCALAR = 0, SDL_AVX2 = 1, SDL_AVX512 = 2, SDL_AVX512BF16 = 3 };

// Highest level that this processor and system support.
int sdl_cpu_level(void);
// The table for `level`, which must not exceed sdl_cpu_level().
const sdl_kernel_table *sdl_kernels(int level);
