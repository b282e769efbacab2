// First line of each test that needs a GPU. Skips it with the reason where there is none, so that
// the programs can be started anywhere.

#ifndef DROVER_TESTS_GPU_REQUIRE_GPU_H_
#define DROVER_TESTS_GPU_REQUIRE_GPU_H_

#include <gtest/gtest.h>

#include "common/gpu/device.h"

#define DROVER_REQUIRE_GPU()                                                     \
  do {                                                                           \
    const auto gpus = ::drover::ListGpus();                                      \
    if (!gpus.ok()) GTEST_SKIP() << "no GPU here: " << gpus.status().ToString(); \
  } while (false)

#endif  // DROVER_TESTS_GPU_REQUIRE_GPU_H_
