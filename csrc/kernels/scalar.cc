// Portable kernels: plain C++, for every machine, and the yardstick of all other levels.
#include <string.h>

#include "kernels/tile.inl"

namespace gecko {
namespace {

struct Scalar {
  using Reg = float;
  static constexpr int kLanes = 1;
  static Reg zero() { return 0.0F; }
  static Reg load(const float* p) { return *p; }
  static Reg broadcast(float x) { return x; }
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }
  static Reg subtract_product(Reg c, Reg a, Reg b) { return c - a * b; }
  static Reg max(Reg a, Reg b) { return a > b ? a : b; }
  static unsigned reaches(Reg a, Reg bar) { return a >= bar ? 1U : 0U; }
  static void append(float* scores, int32_t* places, unsigned mask, Reg a, int first_place) {
    append_lanes(scores, places, mask, &a, first_place);
  }
};

// One lane holds one sum; a "byte" register is the four bytes of one query.
struct ScalarBytes : Scalar {
  using Int = int32_t;
  static Reg multiply(Reg a, Reg b) { return a * b; }
  static Int broadcast_int(int32_t x) { return x; }
  static Int load_words(const int32_t* p) { return *p; }
  static Reg to_float(Int a) { return static_cast<float>(a); }
  static void add_products(Int& sum, Int query, Int word) {
    uint8_t left[4];
    int8_t right[4];
    memcpy(left, &query, sizeof left);
    memcpy(right, &word, sizeof right);
    for (int i = 0; i < 4; ++i) sum += left[i] * right[i];
  }
};

double exact_dot(const float* a, const float* b, int64_t d) {
  double lanes[32] = {};
  int64_t i = 0;
  for (; i + 32 <= d; i += 32) {
    for (int j = 0; j < 32; ++j) lanes[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  return finish_exact_dot(lanes, a + i, b + i, d - i);
}

float widen(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7FFF;
  uint32_t bits;
  if (magnitude >= 0x7C00) {
    bits = 0x7F800000 | (magnitude & 0x03FF) << 13;  // infinity, NaN
  } else if (magnitude >= 0x0400) {
    bits = (magnitude << 13) + ((127 - 15) << 23);
  } else {
    const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
    memcpy(&bits, &subnormal, sizeof bits);
  }
  bits |= sign;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}

void widen_half(const uint16_t* half, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = widen(half[i]);
}

constexpr PackedScan kInt8 = {
    4, 4, 1, 1, false, quantise_plain, scan_bytes<ScalarBytes, 4, 4>, nullptr, nullptr};
constexpr Kernels kTable = {"scalar", 4,       4,         nullptr,   scan_tile<Scalar, 4, 4>,
                            &kInt8,   nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kScalarKernels = &kTable;

}  // namespace gecko
