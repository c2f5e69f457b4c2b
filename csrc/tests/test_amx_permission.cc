#include <cerrno>

#include "amx_permission.h"
#include "check.h"
#include "dispatch.h"

namespace gecko {
namespace {

constexpr uint32_t kAll = 1U << 22 | 1U << 24 | 1U << 25;
constexpr uint64_t kKept = 0x600E7;  // what Linux keeps on Sapphire Rapids

AmxPermission decide(uint32_t edx, uint64_t kept_states, int answer, int* asked) {
  return decide_amx({edx, kept_states}, [=] {
    ++*asked;
    return answer;
  });
}

void a_processor_without_tiles_is_no_refusal_and_nobody_is_asked() {
  int asked = 0;
  for (const uint32_t edx : {0U, 1U << 22, 1U << 25}) {
    const AmxPermission permission = decide(edx, kKept, 0, &asked);
    CHECK(!permission.int8 && !permission.bfloat16 && permission.refusal.empty());
  }
  CHECK(asked == 0);
}

void tiles_are_granted_by_type() {
  int asked = 0;
  const AmxPermission both = decide(kAll, kKept, 0, &asked);
  CHECK(both.int8 && both.bfloat16 && both.refusal.empty());
  const AmxPermission bytes = decide(1U << 24 | 1U << 25, kKept, 0, &asked);
  CHECK(bytes.int8 && !bytes.bfloat16);
  CHECK(asked == 2);
}

void registers_that_are_not_kept_are_a_refusal() {
  int asked = 0;
  for (const uint64_t kept : {uint64_t{0}, uint64_t{0xE7}, uint64_t{0x200E7}, uint64_t{0x400E7}}) {
    const AmxPermission permission = decide(kAll, kept, 0, &asked);
    CHECK(!permission.int8 && !permission.bfloat16);
    CHECK(permission.refusal == "the operating system does not keep its registers");
  }
  CHECK(asked == 0);
}

void a_kernel_that_refuses_is_named_with_its_error() {
  int asked = 0;
  for (const int error : {EPERM, EINVAL, ENOSPC, ENOSYS}) {
    const AmxPermission permission = decide(kAll, kKept, error, &asked);
    CHECK(!permission.int8 && !permission.bfloat16);
    CHECK(permission.refusal.rfind("the kernel refused: ", 0) == 0);
    CHECK(permission.refusal.size() > 20);
  }
}

void levels_with_tiles_are_there_if_and_only_if_they_are_granted() {
  bool int8 = false, bfloat16 = false;
  for (const Kernels* kernels : available_kernels()) {
    int8 |= kernels == kAmxInt8Kernels;
    bfloat16 |= kernels == kAmxBFloat16Kernels;
  }
  CHECK(int8 == (kAmxInt8Kernels != nullptr && amx_permission().int8));
  CHECK(bfloat16 == (kAmxBFloat16Kernels != nullptr && amx_permission().bfloat16));
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::a_processor_without_tiles_is_no_refusal_and_nobody_is_asked);
  RUN(gecko::tiles_are_granted_by_type);
  RUN(gecko::registers_that_are_not_kept_are_a_refusal);
  RUN(gecko::a_kernel_that_refuses_is_named_with_its_error);
  RUN(gecko::levels_with_tiles_are_there_if_and_only_if_they_are_granted);
  return gecko::failures();
}
