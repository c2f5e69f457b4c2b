// Passages quantised to int8, in the layout of the kernels: a quarter of the memory of floats.
#ifndef GECKO_BYTES_H_
#define GECKO_BYTES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "matrix.h"

namespace gecko {

// Tiles of consecutive rows, each quantised by itself. The bytes depend on the kernels: a search
// must use those that packed. They never decide a result; they only decide what is rescored.
class BytePassages {
 public:
  BytePassages(const Kernels& kernels, int64_t columns) : kernels_(&kernels), columns_(columns) {}

  // Quantises rows [first, first + count) as the rows from 0. Keeps memory of earlier calls.
  void assign(const Matrix& matrix, int64_t first, int64_t count);

  // Quantises in parallel those rows of the matrix that follow the rows packed so far, which must
  // be its first ones; `report` as in search().
  void extend(const Matrix& matrix, int threads, const std::function<void(double)>& report);

  const Kernels& kernels() const { return *kernels_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t bytes() const;

  // All that was packed, for a file: what adopt() takes, at the same level.
  struct Parts {
    const int32_t* words;    // (padded rows / tile_rows, groups, tile_rows)
    const int32_t* offsets;  // the rest: (padded rows)
    const float *scales, *residuals, *norms;
  };
  Parts parts() const;
  int64_t padded(int64_t rows) const;  // to whole tiles
  int64_t padded_rows() const { return static_cast<int64_t>(norms_.size()); }
  int64_t groups() const { return (columns_ + 3) / 4; }

  // Takes over what parts() gave for `rows` rows. The words stay where they are, 64-byte aligned,
  // and must outlive this; extend() would copy them.
  void adopt(int64_t rows, const Parts& parts);

  // The tile that begins at `row`, a multiple of Kernels::tile_rows. Rows past the end are zeros.
  ByteTile tile(int64_t row) const;
  float residual(int64_t row) const { return residuals_[static_cast<size_t>(row)]; }
  float norm(int64_t row) const { return norms_[static_cast<size_t>(row)]; }

 private:
  void resize(int64_t rows);
  void put(const Matrix& matrix, int64_t first, int64_t source, int64_t count);
  const int32_t* words() const { return borrowed_ != nullptr ? borrowed_ : words_.data(); }

  const Kernels* kernels_;
  int64_t columns_;
  int64_t rows_ = 0;
  AlignedVector<int32_t> words_;
  const int32_t* borrowed_ = nullptr;  // instead of words_
  std::vector<int32_t> offsets_;
  std::vector<float> scales_, residuals_, norms_;
};

// The float that must be added to a residual to pay for all float32 arithmetic with bounds: 32
// roundings of a score, each at most 2^-24 |q| |p|.
constexpr float kRoundingsOfBounds = 0x1p-19F;

}  // namespace gecko

#endif  // GECKO_BYTES_H_
