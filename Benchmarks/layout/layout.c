// The small measurements behind the memory layout (ARCHITECTURE.md): `make bench-layout`.
//
//   layout [conv|attention|threads]...     all three without arguments
//
// Variants take turns, and the fastest of several turns counts: other work on the machine can only make a turn slower. Wall seconds come first;
// processor seconds (all threads) stay comparable when the machine is shared.
#define _GNU_SOURCE
#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernels.h"

void openblas_set_num_threads(int);
char *openblas_get_config(void);
char *openblas_get_corename(void);

enum { TURNS = 7 };
static const sdl_kernel_table *kernel;

// --- Time ---------------------------------------------------------------------------------------------------------------------------------------

typedef struct { double wall, cpu; } moment;

static moment now(void) {
  struct timespec t;
  struct rusage u;
  clock_gettime(CLOCK_MONOTONIC, &t);
  getrusage(RUSAGE_SELF, &u);
  return (moment){t.tv_sec + t.tv_nsec * 1e-9, u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6};
}

typedef struct {
  const char *name;
  void (*run)(const void *);
  const void *problem;
  int blas_threads;
  moment best;
} variant;

/// Each variant runs `inner` times a turn, after one turn to warm up.
static void measure(variant *v, int count, int inner) {
  for (int i = 0; i < count; i++) v[i].best = (moment){INFINITY, INFINITY};
  for (int turn = 0; turn <= TURNS; turn++) {
    for (int i = 0; i < count; i++) {
      openblas_set_num_threads(v[i].blas_threads);
      // OpenBLAS' threads spin for a while after their last product: they must not disturb the next variant.
      if (count > 1) usleep(60000);
      moment start = now();
      for (int k = 0; k < inner; k++) v[i].run(v[i].problem);
      moment end = now();
      double wall = (end.wall - start.wall) / inner, cpu = (end.cpu - start.cpu) / inner;
      if (turn == 0) continue;
      if (wall < v[i].best.wall) v[i].best.wall = wall;
      if (cpu < v[i].best.cpu) v[i].best.cpu = cpu;
    }
  }
}

static void print_variant(const variant *v, double flop, const char *note) {
  printf("  %-44s %9.2f ms wall  %9.2f ms processor  %6.1f GFLOP/s%s\n", v->name, v->best.wall * 1e3, v->best.cpu * 1e3, flop / v->best.wall * 1e-9, note);
}

static float *numbers(size_t n) {
  float *p = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
  if (!p) { perror("memory"); exit(1); }
  for (size_t i = 0; i < n; i++) p[i] = (float)(i * 7919 % 10007) / 5003.5f - 1;
  return p;
}

static double difference(const float *a, const float *b, size_t n) {
  double d = 0;
  for (size_t i = 0; i < n; i++) d = fmax(d, fabs((double)a[i] - b[i]));
  return d;
}

// --- Convolution: where the channels lie --------------------------------------------------------------------------------------------------------

// 3x3, stride 1, zeros around, `side` x `side` pixels, `c` channels in and out, one thread.
typedef struct { int side, c, block; const float *x, *weight; float *patches, *y; } convolution;

/// Patches of the pixels from `first` on, channels-last: rows of [3 * 3 * c], three runs of up to 3 * c floats each.
static void gather_nhwc(const convolution *p, int first, int count) {
  int s = p->side, c = p->c;
  float *t = p->patches;
  for (int r = first; r < first + count; r++) {
    int y = r / s - 1, x = r % s - 1;
    int from = x < 0 ? -x : 0, to = s - x < 3 ? s - x : 3;
    for (int ky = 0; ky < 3; ky++, t += 3 * c) {
      if (y + ky < 0 || y + ky >= s) { memset(t, 0, sizeof(float) * 3 * c); continue; }
      if (from > 0) memset(t, 0, sizeof(float) * from * c);
      memcpy(t + from * c, p->x + ((y + ky) * s + x + from) * c, sizeof(float) * (to - from) * c);
      if (to < 3) memset(t + to * c, 0, sizeof(float) * (3 - to) * c);
    }
  }
}

static void conv_nhwc(const void *problem) {
  const convolution *p = problem;
  int pixels = p->side * p->side, k = 9 * p->c;
  for (int first = 0; first < pixels; first += p->block) {
    int rows = pixels - first < p->block ? pixels - first : p->block;
    gather_nhwc(p, first, rows);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, p->c, k, 1, p->patches, k, p->weight, k, 0, p->y + (size_t)first * p->c, p->c);
  }
}

/// The same with channels first: rows of the patch matrix are (channel, ky, kx), its columns pixels; whole picture rows at a time.
static void gather_nchw(const convolution *p, int first, int count) {
  int s = p->side;
  float *t = p->patches;
  for (int c = 0; c < p->c; c++) {
    for (int ky = -1; ky <= 1; ky++) {
      for (int kx = -1; kx <= 1; kx++) {
        int left = kx < 0 ? 1 : 0, right = kx > 0 ? 1 : 0;
        for (int y = first / s; y < (first + count) / s; y++, t += s) {
          if (y + ky < 0 || y + ky >= s) { memset(t, 0, sizeof(float) * s); continue; }
          if (left) t[0] = 0;
          memcpy(t + left, p->x + (size_t)c * s * s + (y + ky) * s + kx + left, sizeof(float) * (s - left - right));
          if (right) t[s - 1] = 0;
        }
      }
    }
  }
}

static void conv_nchw(const void *problem) {
  const convolution *p = problem;
  int pixels = p->side * p->side, k = 9 * p->c;
  for (int first = 0; first < pixels; first += p->block) {
    int columns = pixels - first < p->block ? pixels - first : p->block;
    gather_nchw(p, first, columns);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->c, columns, k, 1, p->weight, k, p->patches, columns, 0, p->y + first, pixels);
  }
}

/// What attention costs a channels-first network on top, once into tokens x channels and once back.
static void transpose(const void *problem) {
  const convolution *p = problem;
  int pixels = p->side * p->side;
  for (int r = 0; r < pixels; r += 16) {
    for (int c = 0; c < p->c; c += 16) {
      for (int i = r; i < r + 16; i++) for (int j = c; j < c + 16; j++) p->y[(size_t)i * p->c + j] = p->x[(size_t)j * pixels + i];
    }
  }
}

static void measure_convolutions(void) {
  static const int sizes[][2] = {{64, 320}, {32, 640}, {16, 1280}};
  printf("\nconvolution 3x3, one picture, one thread\n");
  for (int i = 0; i < 3; i++) {
    int side = sizes[i][0], c = sizes[i][1], pixels = side * side;
    size_t k = 9 * (size_t)c;
    float *x = numbers((size_t)pixels * c), *weight = numbers(k * c);
    // As in Engine: 4 MiB of patches, 128 to 1024 rows.
    int block = (int)((4 << 20) / (4 * k));
    block = block < 128 ? 128 : block > 1024 ? 1024 : block;
    block = block > pixels ? pixels : block;
    convolution base = {side, c, pixels, x, weight, numbers(pixels * k), numbers((size_t)pixels * c)};
    convolution blocked = base, lines = base;
    blocked.block = block;
    lines.block = block / side * side;
    variant v[] = {
      {"channels last, patches of some pixels", conv_nhwc, &blocked, 1, {0}}, {"channels last, all patches at once", conv_nhwc, &base, 1, {0}},
      {"channels first, patches of some lines", conv_nchw, &lines, 1, {0}}, {"channels first, all patches at once", conv_nchw, &base, 1, {0}},
      {"transposition, channels first to last", transpose, &base, 1, {0}},
    };
    measure(v, 5, 1);
    printf(" %dx%dx%d: %d pixels at a time, %.1f MiB of patches instead of %.1f\n", side, side, c, block, block * k * 4 / 1048576.0, pixels * k * 4 / 1048576.0);
    for (int j = 0; j < 4; j++) print_variant(&v[j], 2.0 * pixels * k * c, "");
    printf("  %-44s %9.2f ms wall  %9.2f ms processor\n", v[4].name, v[4].best.wall * 1e3, v[4].best.cpu * 1e3);
    free(x); free(weight); free(base.patches); free(base.y);
  }
}

// --- Attention: blocks or the whole matrix ------------------------------------------------------------------------------------------------------

enum { HEADS = 8, TOKENS = 4096, WIDTH = 40, CHANNELS = HEADS * WIDTH };
typedef struct { const float *q, *k, *v; float *scores, *out; int queries, keys; } attention;

static void attend_blocked(const void *problem) {
  const attention *a = problem;
  float maximum[TOKENS], sum[TOKENS];
  for (int head = 0; head < HEADS; head++) {
    for (int first = 0; first < TOKENS; first += a->queries) {
      float *out = a->out + (size_t)first * CHANNELS + head * WIDTH;
      for (int key = 0; key < TOKENS; key += a->keys) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a->queries, a->keys, WIDTH, 1 / sqrtf(WIDTH), a->q + (size_t)first * CHANNELS + head * WIDTH, CHANNELS,
                    a->k + (size_t)key * CHANNELS + head * WIDTH, CHANNELS, 0, a->scores, a->keys);
        kernel->softmax_block(a->scores, a->keys, a->queries, a->keys, 0, maximum, sum, out, CHANNELS, WIDTH, key == 0);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a->queries, WIDTH, a->keys, 1, a->scores, a->keys,
                    a->v + (size_t)key * CHANNELS + head * WIDTH, CHANNELS, key != 0, out, CHANNELS);
      }
      kernel->divide_rows(out, CHANNELS, a->queries, WIDTH, sum);
    }
  }
}

static void attend_whole(const void *problem) {
  const attention *a = problem;
  for (int head = 0; head < HEADS; head++) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, TOKENS, TOKENS, WIDTH, 1 / sqrtf(WIDTH), a->q + head * WIDTH, CHANNELS, a->k + head * WIDTH, CHANNELS, 0,
                a->scores, TOKENS);
    kernel->softmax_rows(a->scores, TOKENS, TOKENS, 0);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TOKENS, WIDTH, TOKENS, 1, a->scores, TOKENS, a->v + head * WIDTH, CHANNELS, 0, a->out + head * WIDTH, CHANNELS);
  }
}

static void measure_attention(void) {
  size_t n = (size_t)TOKENS * CHANNELS;
  float *q = numbers(n), *k = numbers(n), *v = numbers(n), *scores = numbers((size_t)TOKENS * TOKENS), *whole = numbers(n), *out = numbers(n);
  static const int blocks[][2] = {{64, 256}, {64, 512}, {64, 1024}, {64, 4096}, {128, 1024}, {256, 1024}};
  enum { COUNT = sizeof blocks / sizeof blocks[0] };
  attention a[COUNT + 1] = {{q, k, v, scores, whole, TOKENS, TOKENS}};
  char names[COUNT][48];
  variant variants[COUNT + 1] = {{"whole matrix of one head", attend_whole, &a[0], 1, {0}}};
  for (int i = 0; i < COUNT; i++) {
    a[i + 1] = (attention){q, k, v, scores, out, blocks[i][0], blocks[i][1]};
    snprintf(names[i], sizeof names[i], "blocks of %d queries x %d keys", blocks[i][0], blocks[i][1]);
    variants[i + 1] = (variant){names[i], attend_blocked, &a[i + 1], 1, {0}};
  }
  measure(variants, COUNT + 1, 1);
  printf("\nattention, 4096 x 4096 positions, 8 heads of 40, one thread\n");
  for (int i = 0; i <= COUNT; i++) {
    char note[40];
    snprintf(note, sizeof note, "  scores %6.2f MiB", 4.0 * a[i].queries * a[i].keys / 1048576);
    print_variant(&variants[i], 4.0 * HEADS * TOKENS * (double)TOKENS * WIDTH, note);
  }
  printf("  largest difference between blocks and whole: %.1e\n", difference(whole, out, n));
  free(q); free(k); free(v); free(scores); free(whole); free(out);
}

// --- Threads: BLAS' or ours ---------------------------------------------------------------------------------------------------------------------

typedef struct { int m, n, k; const float *a, *b; float *c; } matrix_product;

static void product_part(const matrix_product *p, int part, int parts) {
  // The longer side of the result is split, as in Engine.
  if (p->m >= p->n) {
    int from = (int)((long)p->m * part / parts), to = (int)((long)p->m * (part + 1) / parts);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, to - from, p->n, p->k, 1, p->a + (size_t)from * p->k, p->k, p->b, p->k, 0, p->c + (size_t)from * p->n, p->n);
  } else {
    int from = (int)((long)p->n * part / parts), to = (int)((long)p->n * (part + 1) / parts);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->m, to - from, p->k, 1, p->a, p->k, p->b + (size_t)from * p->k, p->k, 0, p->c + from, p->n);
  }
}

static void product_blas(const void *problem) { product_part(problem, 0, 1); }

// One helper thread that waits for work.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static const matrix_product *work;

static void *helper(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!work) pthread_cond_wait(&changed, &lock);
    const matrix_product *p = work;
    pthread_mutex_unlock(&lock);
    product_part(p, 1, 2);
    pthread_mutex_lock(&lock);
    work = NULL;
    pthread_cond_broadcast(&changed);
  }
  return NULL;
}

static void product_ours(const void *problem) {
  pthread_mutex_lock(&lock);
  work = problem;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  product_part(problem, 0, 2);
  pthread_mutex_lock(&lock);
  while (work) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void measure_threads(void) {
  // Rows, columns, inner dimension and how often: every convolution (as the product of its patches) and linear layer of one UNet step of Stable
  // Diffusion 1.5, batch 2, 64x64 latents.
  static const int shapes[][4] = {
    {8192, 320, 2880, 7}, {512, 1280, 11520, 7}, {2048, 640, 5760, 6}, {8192, 2560, 320, 5}, {2048, 5120, 640, 5}, {512, 10240, 1280, 5},
    {8192, 320, 320, 40}, {2048, 640, 640, 40}, {512, 1280, 1280, 40}, {512, 1280, 23040, 2}, {2048, 1280, 11520, 1}, {8192, 640, 5760, 1},
    {8192, 320, 5760, 2}, {128, 1280, 11520, 12}, {2048, 640, 17280, 1}, {8192, 320, 8640, 1}, {8192, 320, 1280, 5}, {2048, 640, 2560, 5},
    {512, 1280, 5120, 5}, {2048, 640, 11520, 1}, {128, 1280, 23040, 3}, {512, 1280, 17280, 1}, {2048, 640, 8640, 1}, {2048, 640, 2880, 1},
    {512, 1280, 5760, 1}, {512, 1280, 2560, 2}, {8192, 320, 640, 2}, {2048, 640, 1920, 1}, {8192, 320, 960, 1}, {2048, 320, 2880, 1},
    {512, 640, 5760, 1}, {154, 1280, 768, 12}, {128, 10240, 1280, 1}, {2048, 640, 1280, 1}, {128, 1280, 1280, 8}, {128, 1280, 2560, 3},
    {512, 1280, 1920, 1}, {2048, 640, 960, 1}, {128, 1280, 5120, 1}, {154, 640, 768, 10}, {2048, 640, 320, 1}, {512, 1280, 640, 1},
    {154, 320, 768, 10}, {8192, 320, 36, 1}, {8192, 4, 2880, 1}, {2, 1280, 1280, 13}, {2, 640, 1280, 5}, {2, 320, 1280, 5},
    {2, 1280, 320, 1},
  };
  pthread_t thread;
  if (pthread_create(&thread, NULL, helper, NULL)) { perror("thread"); exit(1); }
  printf("\nall products of a UNet step, 2 threads\n");
  printf("  %-18s %5s  %8s  %26s  %26s\n", "shape", "times", "GFLOP", "BLAS' threads", "our split, BLAS at 1");
  moment sum[2] = {{0, 0}, {0, 0}};
  double flops = 0;
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    const int *s = shapes[i];
    matrix_product p = {s[0], s[1], s[2], numbers((size_t)s[0] * s[2]), numbers((size_t)s[1] * s[2]), numbers((size_t)s[0] * s[1])};
    double flop = 2.0 * p.m * p.n * p.k;
    variant v[] = {{"BLAS", product_blas, &p, 2, {0}}, {"ours", product_ours, &p, 1, {0}}};
    measure(v, 2, flop < 1e9 ? (int)(1e9 / flop) : 1);
    char shape[40];
    snprintf(shape, sizeof shape, "%dx%dx%d", p.m, p.n, p.k);
    printf("  %-18s %5d  %8.2f", shape, s[3], s[3] * flop * 1e-9);
    for (int j = 0; j < 2; j++) printf("  %8.3f ms (processor %8.3f)", v[j].best.wall * 1e3, v[j].best.cpu * 1e3);
    printf("  %.2f\n", v[0].best.wall / v[1].best.wall);
    for (int j = 0; j < 2; j++) { sum[j].wall += s[3] * v[j].best.wall; sum[j].cpu += s[3] * v[j].best.cpu; }
    flops += s[3] * flop;
    free((void *)p.a); free((void *)p.b); free(p.c);
  }
  printf("  %-18s %5s  %8.2f", "the whole step", "", flops * 1e-9);
  for (int j = 0; j < 2; j++) printf("  %8.1f ms (processor %8.1f)", sum[j].wall * 1e3, sum[j].cpu * 1e3);
  printf("  %.2f\n", sum[0].wall / sum[1].wall);
}

// ------------------------------------------------------------------------------------------------------------------------------------------------

static void print_machine(void) {
  char line[256], date[32];
  time_t t = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", localtime(&t));
  FILE *f = fopen("/proc/cpuinfo", "r");
  while (f && fgets(line, sizeof line, f)) {
    if (!strncmp(line, "model name", 10)) { line[strcspn(line, "\n")] = 0; printf("%s, ", strchr(line, ':') + 2); break; }
  }
  if (f) fclose(f);
  static const char *levels[] = {"scalar", "AVX2", "AVX-512"};
  double load = 0;
  if (getloadavg(&load, 1) != 1) load = NAN;
  printf("%ld processors, kernels %s, %s on %s; %s, load %.1f; fastest of %d turns\n", sysconf(_SC_NPROCESSORS_ONLN), levels[sdl_cpu_level()], openblas_get_config(),
         openblas_get_corename(), date, load, TURNS);
}

int main(int argc, char **argv) {
  kernel = sdl_kernels(sdl_cpu_level());
  print_machine();
  const char *all[] = {"conv", "attention", "threads"};
  for (int i = 0; i < (argc > 1 ? argc - 1 : 3); i++) {
    const char *what = argc > 1 ? argv[i + 1] : all[i];
    if (!strcmp(what, "conv")) measure_convolutions();
    else if (!strcmp(what, "attention")) measure_attention();
    else if (!strcmp(what, "threads")) measure_threads();
    else { fprintf(stderr, "layout: expected conv, attention or threads, found %s\n", what); return 64; }
  }
  return 0;
}
