// libpng reports errors by longjmp, which Swift cannot cross: every call that may fail stays inside these functions, and every
// jump begins and ends in one of them. Swift sees a result code and a line of text. Not API: only Engine/Imaging uses it.
#pragma once
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct {
  const unsigned char *bytes;
  size_t count, at;
} cpng_source;

typedef struct {
  unsigned char *bytes;
  size_t count, capacity;
} cpng_sink;

typedef struct {
  png_structp png;
  png_infop info;
  cpng_source source;
  unsigned width, height, channels;  // channels after expansion: 3 (RGB) or 4 (RGBA)
  char message[160];
} cpng_reader;

static inline void cpng_error(png_structp png, png_const_charp text) {
  char *message = (char *)png_get_error_ptr(png);
  if (message) {
    strncpy(message, text, 159);
    message[159] = 0;
  }
  longjmp(png_jmpbuf(png), 1);
}

static inline void cpng_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static inline void cpng_read(png_structp png, png_bytep to, size_t count) {
  cpng_source *s = (cpng_source *)png_get_io_ptr(png);
  if (count > s->count - s->at) png_error(png, "the file ends too early");
  memcpy(to, s->bytes + s->at, count);
  s->at += count;
}

static inline void cpng_write(png_structp png, png_bytep from, size_t count) {
  cpng_sink *s = (cpng_sink *)png_get_io_ptr(png);
  if (count > s->capacity - s->count) {
    size_t capacity = s->capacity * 2 + count + 4096;
    unsigned char *grown = (unsigned char *)realloc(s->bytes, capacity);
    if (!grown) png_error(png, "out of memory");
    s->bytes = grown;
    s->capacity = capacity;
  }
  memcpy(s->bytes + s->count, from, count);
  s->count += count;
}

static inline void cpng_flush(png_structp png) { (void)png; }

static inline void cpng_close(cpng_reader *r) {
  if (r->png) png_destroy_read_struct(&r->png, r->info ? &r->info : NULL, NULL);
  r->png = NULL;
  r->info = NULL;
}

/// Reads the header and sets up the conversion to 8-bit RGB or RGBA. `bytes` must live until cpng_close. 1 on success; otherwise
/// `message` says why, and the reader is closed.
static __attribute__((noinline, unused)) int cpng_open(cpng_reader *r, const unsigned char *bytes, size_t count) {
  memset(r, 0, sizeof *r);
  r->source.bytes = bytes;
  r->source.count = count;
  r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r->message, cpng_error, cpng_warning);
  if (!r->png) {
    strcpy(r->message, "libpng could not start");
    return 0;
  }
  if (setjmp(png_jmpbuf(r->png))) {
    cpng_close(r);
    return 0;
  }
  r->info = png_create_info_struct(r->png);
  if (!r->info) png_error(r->png, "out of memory");
  png_set_read_fn(r->png, &r->source, cpng_read);
  png_set_user_limits(r->png, 65535, 65535);
  // Text, profiles and times are not needed for the pixels: skip all ancillary chunks except transparency.
  png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(r->png, r->info);
  r->width = png_get_image_width(r->png, r->info);
  r->height = png_get_image_height(r->png, r->info);
  int depth = png_get_bit_depth(r->png, r->info);
  int colour = png_get_color_type(r->png, r->info);
  png_set_expand(r->png);  // palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha
  if (depth == 16) png_set_strip_16(r->png);  // the high byte, as PIL does
  if (!(colour & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(r->png);
  png_set_interlace_handling(r->png);
  png_read_update_info(r->png, r->info);
  r->channels = png_get_channels(r->png, r->info);
  if (png_get_rowbytes(r->png, r->info) != (size_t)r->width * r->channels) png_error(r->png, "unexpected row size");
  return 1;
}

/// Decodes into `pixels`, height rows of width * channels bytes. 1 on success. Closes the reader.
/// The reader may have moved since cpng_open: what libpng remembers of its place is set anew.
static __attribute__((noinline, unused)) int cpng_pixels(cpng_reader *r, unsigned char *pixels) {
  size_t stride = (size_t)r->width * r->channels;
  png_set_error_fn(r->png, r->message, cpng_error, cpng_warning);
  png_set_read_fn(r->png, &r->source, cpng_read);
  png_bytep *volatile rows = (png_bytep *)malloc(sizeof(png_bytep) * r->height);
  if (setjmp(png_jmpbuf(r->png))) {
    free(rows);
    cpng_close(r);
    return 0;
  }
  if (!rows) png_error(r->png, "out of memory");
  for (unsigned y = 0; y < r->height; y++) rows[y] = pixels + stride * y;
  png_read_image(r->png, rows);
  png_read_end(r->png, NULL);
  free(rows);
  cpng_close(r);
  return 1;
}

/// Encodes 8-bit RGB rows. On success `*out` (to be freed by the caller) holds a whole PNG file without ancillary chunks.
static __attribute__((noinline, unused)) int cpng_encode(
    const unsigned char *rgb, unsigned width, unsigned height, int level, unsigned char **out, size_t *count, char message[160]) {
  cpng_sink sink = {NULL, 0, 0};
  cpng_sink *volatile kept = &sink;
  png_infop volatile info = NULL;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, cpng_error, cpng_warning);
  if (!png) {
    strcpy(message, "libpng could not start");
    return 0;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_infop i = info;
    png_destroy_write_struct(&png, i ? &i : NULL);
    free(kept->bytes);
    return 0;
  }
  info = png_create_info_struct(png);
  if (!info) png_error(png, "out of memory");
  png_set_write_fn(png, &sink, cpng_write, cpng_flush);
  png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, level);
  png_write_info(png, info);
  for (unsigned y = 0; y < height; y++) png_write_row(png, rgb + (size_t)3 * width * y);
  png_write_end(png, NULL);
  png_infop i = info;
  png_destroy_write_struct(&png, &i);
  *out = sink.bytes;
  *count = sink.count;
  return 1;
}
