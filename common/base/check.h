// Promises that only our own code can break: print and abort. Never for bytes from a peer, a file
// or a user; those get a Status.

#ifndef DROVER_COMMON_BASE_CHECK_H_
#define DROVER_COMMON_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define DROVER_CHECK(condition)                                                            \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)

#endif  // DROVER_COMMON_BASE_CHECK_H_
