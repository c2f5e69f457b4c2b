// Which kernels this machine and this build have. Asked once a call, never inside a loop.
#ifndef GECKO_DISPATCH_H_
#define GECKO_DISPATCH_H_

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gecko {

// Fastest first; the last one is always the portable "scalar".
const std::vector<const Kernels*>& available_kernels();

// The kernels called `name`; throws std::invalid_argument, naming it, if there are none here.
const Kernels& kernels_named(const std::string& name);

}  // namespace gecko

#endif  // GECKO_DISPATCH_H_
