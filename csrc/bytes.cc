#include "bytes.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace gecko {
namespace {

constexpr int64_t kTilesPerTask = 256;

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

int64_t BytePassages::padded(int64_t rows) const {
  const int64_t height = kernels_->tile_rows;
  return (rows + height - 1) / height * height;
}

void BytePassages::resize(int64_t rows) {
  const size_t size = index(padded(rows));
  if (borrowed_ != nullptr) {
    words_.assign(borrowed_, borrowed_ + padded_rows() * groups());
    borrowed_ = nullptr;
  }
  rows_ = rows;
  words_.resize(size * index(groups()), 0);
  offsets_.resize(size, 0);
  scales_.resize(size, 0.0F);
  residuals_.resize(size, 0.0F);
  norms_.resize(size, 0.0F);
}

void BytePassages::assign(const Matrix& matrix, int64_t first, int64_t count) {
  resize(0);  // what is past the end of the last tile must be zeros
  resize(count);
  put(matrix, 0, first, count);
}

void BytePassages::extend(const Matrix& matrix, int threads,
                          const std::function<void(double)>& report) {
  const int64_t old = rows_, added = matrix.rows - old;
  resize(matrix.rows);
  const int64_t rows_per_task = kTilesPerTask * kernels_->tile_rows;
  Control control;
  run_tasks((added + rows_per_task - 1) / rows_per_task, threads, control,
            [&](int64_t task, int) {
              const int64_t first = old + task * rows_per_task;
              put(matrix, first, first, std::min(rows_per_task, matrix.rows - first));
              control.done += rows_per_task;
            },
            [&] { report(static_cast<double>(control.done) / static_cast<double>(added + 1)); });
}

BytePassages::Parts BytePassages::parts() const {
  return {words(), offsets_.data(), scales_.data(), residuals_.data(), norms_.data()};
}

void BytePassages::adopt(int64_t rows, const Parts& parts) {
  const int64_t size = padded(rows);
  rows_ = rows;
  words_.clear();
  borrowed_ = parts.words;
  offsets_.assign(parts.offsets, parts.offsets + size);
  scales_.assign(parts.scales, parts.scales + size);
  residuals_.assign(parts.residuals, parts.residuals + size);
  norms_.assign(parts.norms, parts.norms + size);
}

void BytePassages::put(const Matrix& matrix, int64_t first, int64_t source, int64_t count) {
  std::vector<float> scratch(index(columns_));
  std::vector<int8_t> bytes(index(4 * groups()), 0);
  const int64_t height = kernels_->tile_rows;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = first + i;
    const float* floats = read_row(matrix, source + i, *kernels_, scratch.data());
    const Quantised quantised = kernels_->quantise(floats, columns_, bytes.data());
    int32_t* words = words_.data() + row / height * height * groups() + row % height;
    for (int64_t g = 0; g < groups(); ++g) {
      std::memcpy(words + g * height, bytes.data() + 4 * g, sizeof(int32_t));
    }
    offsets_[index(row)] = -128 * quantised.sum;
    scales_[index(row)] = quantised.scale;
    norms_[index(row)] = quantised.norm;
    residuals_[index(row)] = (quantised.residual + kRoundingsOfBounds * quantised.norm) * 1.001F;
  }
}

int64_t BytePassages::bytes() const {
  return static_cast<int64_t>(index(padded_rows() * groups()) * sizeof(int32_t) +
                              offsets_.size() * (sizeof(int32_t) + 3 * sizeof(float)));
}

ByteTile BytePassages::tile(int64_t row) const {
  const auto largest = [&](const std::vector<float>& values) {
    return *std::max_element(values.begin() + row, values.begin() + row + kernels_->tile_rows);
  };
  return {words() + row * groups(), offsets_.data() + row, scales_.data() + row,
          largest(residuals_), largest(norms_)};
}

}  // namespace gecko
