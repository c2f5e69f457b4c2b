// A borrowed matrix of float32, float16 or bfloat16 in any memory layout, read row by row as
// float32; all numbers of the narrower types are numbers of float32.
#ifndef GECKO_MATRIX_H_
#define GECKO_MATRIX_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace gecko {

enum class Element { kFloat32, kFloat16, kBFloat16 };

inline ptrdiff_t size_of(Element element) { return element == Element::kFloat32 ? 4 : 2; }

// Strides are in bytes and may be 0 or negative; elements may be misaligned. The memory is only
// read, and must stay as it is while the matrix is in use.
struct Matrix {
  const std::byte* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  ptrdiff_t row_stride = 0;
  ptrdiff_t column_stride = 0;
  Element element = Element::kFloat32;

  // True if every row can be used where it is, without a copy.
  bool rows_are_plain() const;
};

// Row `i` as `columns` floats: in place for a plain matrix, else converted into `scratch`.
const float* read_row(const Matrix& matrix, int64_t i, const Kernels& kernels, float* scratch);

// Asks for row `i` to be brought into the cache.
void prefetch_row(const Matrix& matrix, int64_t i);

}  // namespace gecko

#endif  // GECKO_MATRIX_H_
