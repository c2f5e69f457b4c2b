// gecko_kedro._core: what Python sees. Arguments were checked by gecko_kedro.retrieval; here only
// what would read outside of an array is refused.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "amx_permission.h"
#include "dispatch.h"
#include "mining.h"
#include "packed.h"
#include "parallel.h"
#include "rows.h"
#include "sampling.h"
#include "search.h"

namespace py = pybind11;

namespace gecko {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

// NumPy has no bfloat16: its bits come as uint16.
Element element_of(const py::array& array) {
  if (array.dtype().equal(py::dtype("float32"))) return Element::kFloat32;
  if (array.dtype().equal(py::dtype("float16"))) return Element::kFloat16;
  require(array.dtype().equal(py::dtype("uint16")),
          "a matrix must be float32, float16 or, for the bits of bfloat16, uint16");
  return Element::kBFloat16;
}

Matrix borrow(const py::array& array) {
  require(array.ndim() == 2, "a matrix must have two dimensions");
  Matrix matrix;
  matrix.data = static_cast<const std::byte*>(array.data());
  matrix.rows = array.shape(0);
  matrix.columns = array.shape(1);
  matrix.row_stride = array.strides(0);
  matrix.column_stride = array.strides(1);
  matrix.element = element_of(array);
  return matrix;
}

// Answers Ctrl-C and calls `progress`, if there is one, from a thread that has released the GIL.
std::function<void(double)> reporter(const py::object& progress) {
  return [&progress](double share) {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress.is_none()) progress(share);
  };
}

int thread_count(int threads) { return threads > 0 ? threads : available_cpus(); }

FirstPass first_pass_named(const std::string& name) {
  if (name == "float32") return FirstPass::kFloat32;
  if (name == "int8") return FirstPass::kInt8;
  if (name == "bfloat16") return FirstPass::kBFloat16;
  throw std::invalid_argument("no first pass called '" + name + "'");
}

// Checks what a pass over packed numbers needs.
void require_pass(const Kernels& kernels, FirstPass pass, int64_t columns) {
  require(pass == FirstPass::kFloat32 || packed_scan(kernels, pass) != nullptr,
          "this level has no such first pass");
  require(pass != FirstPass::kInt8 || columns <= kMaxByteDimension,
          "the dimension is too large for the int8 pass");
}

// No passages yet, in the one packed type that the level has.
PackedPassages empty_passages(const std::string& level, int64_t columns) {
  const Kernels& kernels = kernels_named(level);
  const FirstPass pass = kernels.int8 != nullptr ? FirstPass::kInt8 : FirstPass::kBFloat16;
  require_pass(kernels, pass, columns);
  return PackedPassages(kernels, *packed_scan(kernels, pass), columns);
}

PackedPassages pack(const py::array& passages, const std::string& level, int threads) {
  const Matrix matrix = borrow(passages);
  PackedPassages packed = empty_passages(level, matrix.columns);
  const py::object no_progress = py::none();
  const py::gil_scoped_release no_gil;
  packed.extend(matrix, thread_count(threads), reporter(no_progress));
  return packed;
}

void extend(PackedPassages& packed, const py::array& passages, int threads) {
  const Matrix matrix = borrow(passages);
  require(matrix.columns == packed.columns() && matrix.rows >= packed.rows(),
          "packed passages must be the first ones of the passages");
  const py::object no_progress = py::none();
  const py::gil_scoped_release no_gil;
  packed.extend(matrix, thread_count(threads), reporter(no_progress));
}

// Views of what was packed, by name; they keep it alive.
py::dict parts(const py::object& self) {
  const auto& packed = self.cast<const PackedPassages&>();
  const PackedPassages::Parts parts = packed.parts();
  const auto view = [&](const auto* data, int64_t size) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
    return Array<T>({size}, data, self);
  };
  const int64_t rows = packed.padded_rows();
  py::dict named;
  named["words"] = view(parts.words, rows * packed.words_per_row());
  named["offsets"] = view(parts.offsets, rows);
  named["scales"] = view(parts.scales, rows);
  named["residuals"] = view(parts.residuals, rows);
  named["norms"] = view(parts.norms, rows);
  return named;
}

PackedPassages adopt(int64_t rows, int64_t columns, const std::string& level,
                     const Array<int32_t>& words, const Array<int32_t>& offsets,
                     const Array<float>& scales, const Array<float>& residuals,
                     const Array<float>& norms) {
  require(columns >= 0 && rows >= 0, "no such shape");
  PackedPassages packed = empty_passages(level, columns);
  const int64_t padded = packed.padded(rows);
  require(words.size() == padded * packed.words_per_row() && offsets.size() == padded &&
              scales.size() == padded && residuals.size() == padded && norms.size() == padded,
          "the parts must fit the shape");
  require(reinterpret_cast<uintptr_t>(words.data()) % 64 == 0, "words must be aligned");
  packed.adopt(rows, {words.data(), offsets.data(), scales.data(), residuals.data(), norms.data()});
  return packed;
}

Array<float> py_measure_norms(const py::array& rows, const std::string& level) {
  const Matrix matrix = borrow(rows);
  const Kernels& kernels = kernels_named(level);
  Array<float> norms(matrix.rows);
  float* out = norms.mutable_data();
  const py::object no_progress = py::none();
  {
    const py::gil_scoped_release no_gil;
    measure_norms(matrix, kernels, thread_count(0), out, reporter(no_progress));
  }
  return norms;
}

Array<float> py_score_pairs(const py::array& queries, const py::array& passages,
                            const Array<int64_t>& ids, const std::string& level) {
  const Matrix left = borrow(queries), right = borrow(passages);
  require(left.columns == right.columns, "dimensions must be the same");
  require(ids.ndim() == 2 && ids.shape(0) == left.rows, "one row of ids per query is needed");
  const int64_t* first = ids.data();
  require(std::all_of(first, first + ids.size(), [&](int64_t id) { return id < right.rows; }),
          "ids must be rows of the passages");
  const Kernels& kernels = kernels_named(level);
  Array<float> scores({ids.shape(0), ids.shape(1)});
  float* out = scores.mutable_data();
  const py::object no_progress = py::none();
  {
    const int64_t per_query = ids.shape(1);
    const py::gil_scoped_release no_gil;
    score_pairs(left, right, first, per_query, kernels, thread_count(0), out,
                reporter(no_progress));
  }
  return scores;
}

Strategy strategy_named(const std::string& name) {
  if (name == "top") return Strategy::kTop;
  if (name == "random") return Strategy::kRandom;
  if (name == "last") return Strategy::kLast;
  throw std::invalid_argument("no strategy called '" + name + "'");
}

// A search that is ready to run; it keeps what it reads alive.
class BoundSearch {
 public:
  BoundSearch(py::array queries, Array<float> query_norms, py::array passages,
              Array<float> passage_norms, int64_t k, Array<int64_t> exclude_offsets,
              Array<int64_t> exclude_ids, const std::string& level, const std::string& first_pass,
              const py::object& packed, bool certified)
      : owned_{queries, query_norms, passages, passage_norms, exclude_offsets, exclude_ids, packed},
        kernels_(kernels_named(level)),
        input_{borrow(queries),
               borrow(passages),
               query_norms.data(),
               passage_norms.data(),
               exclude_offsets.data(),
               exclude_ids.data(),
               k,
               first_pass_named(first_pass),
               packed.cast<const PackedPassages*>(),
               certified ? Margin::kCertified : Margin::kStatistical} {
    require(k >= 0, "k must not be negative");
    require(input_.queries.columns == input_.passages.columns, "dimensions must be the same");
    require(query_norms.size() == input_.queries.rows, "one norm per query is needed");
    require(passage_norms.size() == input_.passages.rows, "one norm per passage is needed");
    require_lists(exclude_offsets, exclude_ids);
    require_pass(kernels_, input_.first_pass, input_.queries.columns);
    require(input_.packed == nullptr ||
                (&input_.packed->scan() == packed_scan(kernels_, input_.first_pass) &&
                 input_.packed->rows() == input_.passages.rows &&
                 input_.packed->columns() == input_.passages.columns),
            "packed passages must be the passages, packed at this level");
  }

  // (scores, ids): see search().
  py::tuple run(int threads, const py::object& progress) const {
    Array<float> scores({input_.queries.rows, input_.k});
    Array<int64_t> ids({input_.queries.rows, input_.k});
    float* score_data = scores.mutable_data();
    int64_t* id_data = ids.mutable_data();
    {
      const py::gil_scoped_release no_gil;
      search(input_, kernels_, thread_count(threads), score_data, id_data, reporter(progress));
    }
    return py::make_tuple(scores, ids);
  }

  // (ids, scores, counts): see mine_negatives() of mining.h.
  py::tuple mine(const Array<int64_t>& positive_offsets, const Array<int64_t>& positive_ids,
                 const Array<uint64_t>& query_ids, int64_t n_negatives, const std::string& strategy,
                 uint64_t seed, std::pair<int64_t, int64_t> rank_window,
                 std::optional<double> max_score, std::optional<double> min_score,
                 std::optional<double> absolute_margin, std::optional<double> relative_margin,
                 int threads, const py::object& progress) const {
    const int64_t *first = positive_ids.data(), rows = input_.passages.rows;
    require_lists(positive_offsets, positive_ids);
    require(std::all_of(first, first + positive_ids.size(),
                        [rows](int64_t id) { return id >= 0 && id < rows; }),
            "positives must be rows of the passages");
    require(query_ids.size() == input_.queries.rows, "one query id per query is needed");
    require(n_negatives >= 0, "n_negatives must not be negative");
    const MiningInput input{input_,
                            positive_offsets.data(),
                            first,
                            query_ids.data(),
                            n_negatives,
                            strategy_named(strategy),
                            seed,
                            rank_window.first,
                            rank_window.second,
                            max_score,
                            min_score,
                            absolute_margin,
                            relative_margin};
    Array<int64_t> ids({input_.queries.rows, n_negatives});
    Array<float> scores({input_.queries.rows, n_negatives});
    int64_t* id_data = ids.mutable_data();
    float* score_data = scores.mutable_data();
    FateCounts counts;
    {
      const py::gil_scoped_release no_gil;
      counts = mine_negatives(input, kernels_, thread_count(threads), id_data, score_data,
                              reporter(progress));
    }
    return py::make_tuple(ids, scores, counts);
  }

 private:
  void require_lists(const Array<int64_t>& offsets, const Array<int64_t>& ids) const {
    require(offsets.size() == input_.queries.rows + 1, "one id list per query is needed");
    const int64_t* first = offsets.data();
    require(*first >= 0 && std::is_sorted(first, first + offsets.size()) &&
                first[offsets.size() - 1] == ids.size(),
            "offsets must fit the ids");
  }

  const py::object owned_[7];
  const Kernels& kernels_;
  const SearchInput input_;
};

Array<int64_t> py_sample_negatives(const Array<int64_t>& candidates, const Array<bool>& eligible,
                                   int64_t n_negatives, const std::string& strategy, uint64_t seed,
                                   const Array<uint64_t>& query_ids) {
  require(candidates.ndim() == 2 && eligible.ndim() == 2, "a matrix must have two dimensions");
  const int64_t queries = candidates.shape(0), k = candidates.shape(1);
  require(eligible.shape(0) == queries && eligible.shape(1) == k, "shapes must be the same");
  require(query_ids.size() == queries, "one query id per row is needed");
  require(n_negatives >= 0, "n_negatives must not be negative");
  Array<int64_t> chosen({queries, n_negatives});
  const NegativesInput input{candidates.data(),
                             eligible.data(),
                             query_ids.data(),
                             queries,
                             k,
                             n_negatives,
                             strategy_named(strategy),
                             seed};
  int64_t* out = chosen.mutable_data();
  {
    const py::gil_scoped_release no_gil;
    sample_negatives(input, out);
  }
  return chosen;
}

std::vector<std::string> levels_with(FirstPass pass) {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) {
    if (packed_scan(*kernels, pass) != nullptr) names.emplace_back(kernels->name);
  }
  return names;
}

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
  return names;
}

}  // namespace
}  // namespace gecko

PYBIND11_MODULE(_core, module) {
  module.doc() = R"(Exact top-k search and negative sampling; use gecko_kedro.retrieval instead.

Arguments are checked by gecko_kedro.retrieval. Here a ValueError is raised only where memory
outside of an array would be read, and for an unknown name. A matrix of vectors is
(rows, dimension), float32, float16, or uint16 for the bits of bfloat16, of any strides; it is read
in place. Other arrays are C-contiguous and converted where they are not. The GIL is released while
numbers are computed, and Ctrl-C is answered meanwhile.)";
  module.def("available_levels", &gecko::level_names,
             R"(Names of the instruction sets that this machine and this build have, best first.)");
  module.def(
      "byte_levels", [] { return gecko::levels_with(gecko::FirstPass::kInt8); },
      R"(Those of available_levels() that have a first pass in int8.)");
  module.def(
      "bfloat16_levels", [] { return gecko::levels_with(gecko::FirstPass::kBFloat16); },
      R"(Those of available_levels() that have a first pass in bfloat16.)");
  module.def(
      "most_packed_queries",
      [](const std::string& level) {
        const gecko::PackedScan* scan =
            gecko::packed_scan(gecko::kernels_named(level), gecko::FirstPass::kInt8);
        return scan == nullptr ? 0 : scan->most_queries;
      },
      py::arg("level"),
      R"(The number of queries up to which an int8 pass pays at this level; 0 for any number.)");
  module.def(
      "amx_refusal", [] { return gecko::amx_permission().refusal; },
      R"(Why a processor's AMX may not be used; empty if it may, and where there is none.)");
  py::class_<gecko::PackedPassages>(
      module, "PackedPassages",
      R"(Passages rounded to int8 or bfloat16 for one level, made by pack() or adopt().

Each row has the bound of its own rounding error, so that a search with them is still exact.)")
      .def_property_readonly("nbytes", &gecko::PackedPassages::bytes,
                             R"(Bytes of memory that the rounded passages take.)")
      .def_property_readonly("rows", &gecko::PackedPassages::rows, R"(Number of passages.)")
      .def("extend", &gecko::extend, py::arg("passages"), py::arg("threads"),
           R"(Pack the rows that passages (n, d) has gained; the first ones are unchanged.

threads: 0 for all. ValueError for another dimension, and for fewer rows than are packed.)")
      .def("parts", &gecko::parts,
           R"(Views of what was packed, by name; they keep it alive. For rows padded to whole tiles:

words int32 (rows x words of a row), offsets int32, scales, residuals and norms float32 (rows,).
csrc/packed.h says what is in them.)");
  module.def("pack", &gecko::pack, py::arg("passages"), py::arg("level"), py::arg("threads"),
             R"(Passages (n, d) rounded to the packed type of the level; they are not kept.

threads: 0 for all. ValueError for a level without such a type, and in int8 above 65,536
dimensions.)");
  module.def("adopt", &gecko::adopt, py::arg("rows"), py::arg("columns"), py::arg("level"),
             py::arg("words"), py::arg("offsets"), py::arg("scales"), py::arg("residuals"),
             py::arg("norms"), py::keep_alive<0, 4>(),  // the words stay where they are
             R"(What parts() gave, as PackedPassages again; the words are not copied.

ValueError where a part does not fit the shape, or the words are not aligned to 64 bytes.)");
  module.def("measure_norms", &gecko::py_measure_norms, py::arg("rows"), py::arg("level"),
             R"(Euclidean norms of the rows (n, d) -> (n,) float32, rounded up.

NaN or infinite where the row has such a number: the caller refuses it.)");
  module.def(
      "score_pairs", &gecko::py_score_pairs, py::arg("queries"), py::arg("passages"),
      py::arg("ids"), py::arg("level"),
      R"(Scores of queries (q, d) with the passages (n, d) of ids (q, m) int64 -> (q, m) float32.

The inner product in float64, rounded once, as in a search; -inf where the id is negative.
ValueError for shapes that do not fit and ids of n and above.)");
  py::class_<gecko::BoundSearch>(module, "Search",
                                 R"(A search that is ready to run; it keeps what it reads alive.)")
      .def(py::init<py::array, gecko::Array<float>, py::array, gecko::Array<float>, int64_t,
                    gecko::Array<int64_t>, gecko::Array<int64_t>, const std::string&,
                    const std::string&, const py::object&, bool>(),
           py::arg("queries"), py::arg("query_norms"), py::arg("passages"),
           py::arg("passage_norms"), py::arg("k"), py::arg("exclude_offsets"),
           py::arg("exclude_ids"), py::arg("level"), py::arg("first_pass"), py::arg("packed"),
           py::arg("certified"),
           R"(Of queries (q, d) among passages (n, d), with their norms of measure_norms().

exclude_ids int64: query i must not get exclude_ids[exclude_offsets[i]:exclude_offsets[i + 1]],
which are sorted. first_pass: float32, int8 or bfloat16; it never changes a result. packed: the
passages of pack() for a first pass that is not float32, or None to round them while they are read.
certified: keep all that may be among the best by a bound that always holds; False reckons with six
standard deviations of the error of packed numbers.
ValueError for shapes that do not fit, k below 0, and a first pass that the level lacks.)")
      .def("run", &gecko::BoundSearch::run, py::arg("threads"), py::arg("progress"),
           R"(The best k of each query: scores (q, k) float32 and ids (q, k) int64.

Higher score first, then lower id; padded with -inf and -1. threads: 0 for all. progress: None, or
called from a worker with the finished share; what it raises ends the search.)")
      .def("mine_negatives", &gecko::BoundSearch::mine, py::arg("positive_offsets"),
           py::arg("positive_ids"), py::arg("query_ids"), py::arg("n_negatives"),
           py::arg("strategy"), py::arg("seed"), py::arg("rank_window"), py::arg("max_score"),
           py::arg("min_score"), py::arg("absolute_margin"), py::arg("relative_margin"),
           py::arg("threads"), py::arg("progress"),
           R"(Search, filter, draw: ids (q, n) int64, scores (q, n) float32, numbers of candidates.

positive_ids by positive_offsets as the exclusions; query_ids (q,) uint64 seed the draws. The
filters are those of gecko_kedro.retrieval.mine_negatives, None for off; the numbers are those that
each of them refused, in their order, and last those that were left. Short rows end in -1 and -inf.
ValueError for shapes that do not fit, positives that are no passages, and an unknown strategy.)");
  module.def(
      "sample_negatives", &gecko::py_sample_negatives, py::arg("candidates"), py::arg("eligible"),
      py::arg("n_negatives"), py::arg("strategy"), py::arg("seed"), py::arg("query_ids"),
      R"(Draw from candidates (q, k) int64, best first, where eligible (q, k) bool -> (q, n) int64.

strategy: top (best first), last (worst first) or random: the smallest keys Philox4x32-10 of (seed,
query id, passage id) win. query_ids: (q,) uint64. Negative ids are never drawn; rows end in -1
where too few are eligible. ValueError for shapes that do not fit and an unknown strategy.)");
}
