#include "matrix.h"

#include <algorithm>
#include <cstring>

namespace gecko {
namespace {

constexpr int64_t kHalvesAtOnce = 256;

void read_halves(const std::byte* row, ptrdiff_t stride, int64_t n, const Kernels& kernels,
                 float* out) {
  uint16_t halves[kHalvesAtOnce];
  for (int64_t start = 0; start < n; start += kHalvesAtOnce) {
    const int64_t count = std::min(kHalvesAtOnce, n - start);
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(&halves[i], row + (start + i) * stride, sizeof(uint16_t));
    }
    kernels.widen_half(halves, out + start, count);
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
  if (matrix.element == Element::kFloat16) {
    read_halves(row, matrix.column_stride, matrix.columns, kernels, scratch);
    return scratch;
  }
  for (int64_t j = 0; j < matrix.columns; ++j) {
    std::memcpy(scratch + j, row + j * matrix.column_stride, sizeof(float));
  }
  return scratch;
}

void prefetch_row(const Matrix& matrix, int64_t i) {
  constexpr ptrdiff_t kLine = 64;
  if (!matrix.rows_are_plain()) return;
  const std::byte* row = matrix.data + i * matrix.row_stride;
  const auto length = static_cast<ptrdiff_t>(matrix.columns) * ptrdiff_t{sizeof(float)};
  for (ptrdiff_t at = 0; at < length; at += kLine) __builtin_prefetch(row + at);
}

}  // namespace gecko
