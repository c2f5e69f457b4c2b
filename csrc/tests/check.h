// What the tests need of a framework: CHECK counts failures, and main returns their number.
#ifndef GECKO_TESTS_CHECK_H_
#define GECKO_TESTS_CHECK_H_

#include <cstdio>

namespace gecko {

inline int& failures() {
  static int count = 0;
  return count;
}

}  // namespace gecko

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      ++gecko::failures();                                                           \
    }                                                                                \
  } while (false)

#define RUN(test)                        \
  do {                                   \
    std::fprintf(stderr, "%s\n", #test); \
    test();                              \
  } while (false)

#endif  // GECKO_TESTS_CHECK_H_
