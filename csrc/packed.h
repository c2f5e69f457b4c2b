// Passages rounded to int8 or bfloat16, in the layout of the kernels: a quarter or half of the
// memory of floats.
#ifndef GECKO_PACKED_H_
#define GECKO_PACKED_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "matrix.h"

namespace gecko {

// The words of a vector of `columns` components: at least one step of the kernel, padded.
inline int64_t packed_words(const PackedScan& scan, int64_t columns) {
  const int64_t step = int64_t{4} * scan.row_words;
  const int64_t steps = (columns * scan.component_bytes + step - 1) / step;
  return (steps > 1 ? steps : 1) * scan.row_words;
}

// Tiles of consecutive rows, each row rounded by itself. The numbers depend on the kernels: a
// search must use those that packed. They never decide a result; they only decide what is rescored.
class PackedPassages {
 public:
  // `scan` is one of `kernels`.
  PackedPassages(const Kernels& kernels, const PackedScan& scan, int64_t columns)
      : kernels_(&kernels),
        scan_(&scan),
        columns_(columns),
        words_per_row_(packed_words(scan, columns)) {}

  // Rounds rows [first, first + count) as the rows from 0. Keeps memory of earlier calls.
  void assign(const Matrix& matrix, int64_t first, int64_t count);

  // Rounds in parallel those rows of the matrix that follow the rows packed so far, which must be
  // its first ones; `report` as in search().
  void extend(const Matrix& matrix, int threads, const std::function<void(double)>& report);

  const PackedScan& scan() const { return *scan_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t bytes() const;

  // All that was packed, for a file: what adopt() takes, at the same level.
  struct Parts {
    const int32_t* words;    // as in PackedTiles
    const int32_t* offsets;  // the rest: (padded rows)
    const float *scales, *residuals, *norms;
  };
  Parts parts() const;
  int64_t padded(int64_t rows) const;  // to whole tiles
  int64_t padded_rows() const { return static_cast<int64_t>(norms_.size()); }
  int64_t words_per_row() const { return words_per_row_; }

  // Takes over what parts() gave for `rows` rows. The words stay where they are, 64-byte aligned,
  // and must outlive this; extend() would copy them.
  void adopt(int64_t rows, const Parts& parts);

  // The tiles of rows [first, first + count); `first` is a multiple of PackedScan::tile_rows. Rows
  // past the end are zeros. Nothing is fetched ahead.
  PackedTiles tiles(int64_t first, int64_t count) const;
  float residual(int64_t row) const { return residuals_[static_cast<size_t>(row)]; }
  float norm(int64_t row) const { return norms_[static_cast<size_t>(row)]; }

 private:
  void resize(int64_t rows);
  void put(const Matrix& matrix, int64_t first, int64_t source, int64_t count);
  void measure_tiles(int64_t first, int64_t count);
  const int32_t* words() const { return borrowed_ != nullptr ? borrowed_ : words_.data(); }

  const Kernels* kernels_;
  const PackedScan* scan_;
  int64_t columns_;
  int64_t words_per_row_;
  int64_t rows_ = 0;
  AlignedVector<int32_t> words_;
  const int32_t* borrowed_ = nullptr;  // instead of words_
  std::vector<int32_t> offsets_;
  std::vector<float> scales_, residuals_, norms_;
  std::vector<float> tile_residuals_, tile_norms_;  // the largest of each tile
};

}  // namespace gecko

#endif  // GECKO_PACKED_H_
