// Raw deflate streams (RFC 1951) as zip files hold them. `inflateInit2` is a macro, which Swift does not import. Not API: only
// Engine/Loading uses it.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

// Unfolds the beginning of `from` into exactly `capacity` bytes of `to` or fewer, never more.
// Returns the number of bytes, or -1 for a broken stream. *ended: the stream said that it is at its end and all input was used.
static inline int64_t czlib_inflate(const uint8_t *from, size_t count, uint8_t *to, size_t capacity, int *ended) {
  z_stream z;
  memset(&z, 0, sizeof z);
  *ended = 0;
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return -1;
  const size_t most = 1u << 30;
  size_t in = 0, out = 0;
  int code = Z_OK;
  // One byte more than wanted tells a stream that goes on from one that ends.
  while (code == Z_OK) {
    uint8_t beyond;
    size_t give = count - in < most ? count - in : most;
    size_t room = capacity - out < most ? capacity - out : most;
    z.next_in = (Bytef *)(from + in);
    z.avail_in = (uInt)give;
    z.next_out = room ? to + out : &beyond;
    z.avail_out = room ? (uInt)room : 1;
    code = inflate(&z, Z_NO_FLUSH);
    in += give - z.avail_in;
    if (room) {
      out += room - z.avail_out;
    } else if (z.avail_out == 0) {
      break;
    }
    if (code == Z_OK && give == 0 && z.avail_out > 0) code = Z_BUF_ERROR;
  }
  inflateEnd(&z);
  if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return -1;
  *ended = code == Z_STREAM_END && in == count;
  return (int64_t)out;
}

static inline uint32_t czlib_crc32(const uint8_t *bytes, size_t count) { return (uint32_t)crc32_z(0, bytes, count); }
