// The tile registers of AMX and their instructions, in portable C++ (Intel's Software Developer's
// Manual, volume 1, chapter 18, and volume 2): one set of registers for each thread.
#ifndef GECKO_TESTS_EMULATED_TILES_H_
#define GECKO_TESTS_EMULATED_TILES_H_

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace gecko {
namespace {

struct Tiles {
  bool configured = false;
  alignas(64) uint8_t bytes[8][16][64];
};
thread_local Tiles tile_registers;

// Where the manual raises an exception. All kernels here use full tiles, so nothing else passes.
inline Tiles& configured_tiles() {
  if (!tile_registers.configured) abort();
  return tile_registers;
}

inline float widened(const uint8_t* p) {  // subnormal numbers are taken as 0
  uint16_t upper;
  memcpy(&upper, p, sizeof upper);
  const uint32_t bits = (upper & 0x7F80) == 0 ? 0 : static_cast<uint32_t>(upper) << 16;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}

inline float flushed(float a) { return fabsf(a) < 0x1p-126F ? 0.0F : a; }

// Sums of an even and of an odd element each, then of both, then with the accumulator. A product
// of bfloat16 is exact in float, so that the addition rounds like a fused one.
inline float bfloat16_products(float sum, const uint8_t* a, const uint8_t (*b)[64], int column) {
  float even = 0, odd = 0;
  for (int k = 0; k < 16; ++k) {
    even = flushed(even + widened(a + 4 * k) * widened(b[k] + 4 * column));
    odd = flushed(odd + widened(a + 4 * k + 2) * widened(b[k] + 4 * column + 2));
  }
  return flushed(sum + flushed(even + odd));
}

inline int32_t byte_products(int32_t sum, const uint8_t* a, const uint8_t (*b)[64], int column) {
  for (int i = 0; i < 64; ++i) {
    sum += static_cast<int8_t>(a[i]) * static_cast<int8_t>(b[i / 4][4 * column + i % 4]);
  }
  return sum;
}

// c += a b, with `product` adding to a sum the products of a row of a and a column of b.
template <class T, class Product>
inline void multiply_tiles(int c, int a, int b, Product product) {
  Tiles& all = configured_tiles();
  for (int row = 0; row < 16; ++row) {
    T sums[16];
    memcpy(sums, all.bytes[c][row], sizeof sums);
    for (int column = 0; column < 16; ++column) {
      sums[column] = product(sums[column], all.bytes[a][row], all.bytes[b], column);
    }
    memcpy(all.bytes[c][row], sums, sizeof sums);
  }
}

}  // namespace
}  // namespace gecko

GECKO_INTRINSIC void _tile_loadconfig(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  if (bytes[0] != 1) abort();
  for (int i = 0; i < 8; ++i) {
    const bool full = bytes[16 + 2 * i] == 64 && bytes[17 + 2 * i] == 0 && bytes[48 + i] == 16;
    if (!full) abort();
  }
  memset(gecko::tile_registers.bytes, 0, sizeof gecko::tile_registers.bytes);
  gecko::tile_registers.configured = true;
}
GECKO_INTRINSIC void _tile_release() { gecko::tile_registers.configured = false; }
GECKO_INTRINSIC void _tile_zero(int tile) {
  memset(gecko::configured_tiles().bytes[tile], 0, sizeof gecko::tile_registers.bytes[tile]);
}
GECKO_INTRINSIC void _tile_loadd(int tile, const void* base, ptrdiff_t stride) {
  gecko::Tiles& all = gecko::configured_tiles();
  for (int row = 0; row < 16; ++row) {
    memcpy(all.bytes[tile][row], static_cast<const uint8_t*>(base) + row * stride, 64);
  }
}
GECKO_INTRINSIC void _tile_stream_loadd(int tile, const void* base, ptrdiff_t stride) {
  _tile_loadd(tile, base, stride);  // the same but for the cache
}
GECKO_INTRINSIC void _tile_stored(int tile, void* base, ptrdiff_t stride) {
  const gecko::Tiles& all = gecko::configured_tiles();
  for (int row = 0; row < 16; ++row) {
    memcpy(static_cast<uint8_t*>(base) + row * stride, all.bytes[tile][row], 64);
  }
}
GECKO_INTRINSIC void _tile_dpbssd(int c, int a, int b) {
  gecko::multiply_tiles<int32_t>(c, a, b, gecko::byte_products);
}
GECKO_INTRINSIC void _tile_dpbf16ps(int c, int a, int b) {
  gecko::multiply_tiles<float>(c, a, b, gecko::bfloat16_products);
}

#endif  // GECKO_TESTS_EMULATED_TILES_H_
