#include "matrix.h"

#include <algorithm>
#include <cstring>

namespace gecko {
namespace {

constexpr int64_t kHalvesAtOnce = 256;

// bfloat16 is the upper half of float32.
void widen_bfloat16(const uint16_t* upper, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(upper[i]) << 16;
    std::memcpy(out + i, &bits, sizeof bits);
  }
}

void read_halves(const Matrix& matrix, const std::byte* row, const Kernels& kernels, float* out) {
  const auto widen = matrix.element == Element::kFloat16 ? kernels.widen_half : widen_bfloat16;
  uint16_t halves[kHalvesAtOnce];
  for (int64_t start = 0; start < matrix.columns; start += kHalvesAtOnce) {
    const int64_t count = std::min(kHalvesAtOnce, matrix.columns - start);
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(&halves[i], row + (start + i) * matrix.column_stride, sizeof(uint16_t));
    }
    widen(halves, out + start, count);
  }
}

}  // namespace

bool Matrix::rows_are_plain() const {
  const auto misaligned = [](auto address) { return address % alignof(float) != 0; };
  return element == Element::kFloat32 && (column_stride == sizeof(float) || columns <= 1) &&
         !misaligned(reinterpret_cast<uintptr_t>(data)) &&
         !misaligned(static_cast<uintptr_t>(row_stride));
}

const float* read_row(const Matrix& matrix, int64_t i, const Kernels& kernels, float* scratch) {
  const std::byte* row = matrix.data + i * matrix.row_stride;
  if (matrix.rows_are_plain()) return reinterpret_cast<const float*>(row);
  if (matrix.element != Element::kFloat32) {
    read_halves(matrix, row, kernels, scratch);
    return scratch;
  }
  for (int64_t j = 0; j < matrix.columns; ++j) {
    std::memcpy(scratch + j, row + j * matrix.column_stride, sizeof(float));
  }
  return scratch;
}

void prefetch_row(const Matrix& matrix, int64_t i) {
  constexpr ptrdiff_t kLine = 64;
  if (matrix.column_stride != size_of(matrix.element)) return;
  const std::byte* row = matrix.data + i * matrix.row_stride;
  const auto length = static_cast<ptrdiff_t>(matrix.columns) * matrix.column_stride;
  for (ptrdiff_t at = 0; at < length; at += kLine) __builtin_prefetch(row + at);
}

}  // namespace gecko
