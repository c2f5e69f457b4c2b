#include <cstdint>
#include <cstring>
#include <vector>

#include "check.h"
#include "dispatch.h"
#include "matrix.h"

namespace gecko {
namespace {

uint16_t upper_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

void every_finite_bfloat16_widens_to_the_float_with_its_upper_half() {
  std::vector<uint16_t> upper;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7F80) != 0x7F80) upper.push_back(static_cast<uint16_t>(bits));
  }
  upper.resize(upper.size() - 3);  // not a whole number of vectors
  const auto n = static_cast<int64_t>(upper.size());
  const Matrix matrix = {reinterpret_cast<const std::byte*>(upper.data()),
                         1,
                         n,
                         0,
                         sizeof(uint16_t),
                         Element::kBFloat16};
  std::vector<float> scratch(upper.size());
  for (const Kernels* kernels : available_kernels()) {
    const float* wide = read_row(matrix, 0, *kernels, scratch.data());
    for (size_t i = 0; i < upper.size(); ++i) CHECK(upper_half(wide[i]) == upper[i]);
  }
  CHECK(scratch[0x3F80] == 1.0F && scratch[0xC040 - 128] == -3.0F);  // after 128 non-finite ones
}

void strides_of_bfloat16_may_be_odd_or_negative() {
  const uint16_t values[] = {upper_half(1), upper_half(2), upper_half(3), upper_half(4)};
  std::byte misaligned[1 + sizeof values];
  std::memcpy(misaligned + 1, values, sizeof values);
  const Matrix backwards = {
      misaligned + 1 + 3 * sizeof(uint16_t), 2, 2, -4, -2, Element::kBFloat16};
  float scratch[2];
  CHECK(!backwards.rows_are_plain());
  for (const int64_t row : {0, 1}) {
    const float* wide = read_row(backwards, row, *kScalarKernels, scratch);
    CHECK(wide[0] == static_cast<float>(4 - 2 * row) && wide[1] == static_cast<float>(3 - 2 * row));
    prefetch_row(backwards, row);
  }
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::every_finite_bfloat16_widens_to_the_float_with_its_upper_half);
  RUN(gecko::strides_of_bfloat16_may_be_odd_or_negative);
  return gecko::failures();
}
