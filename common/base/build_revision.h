// Of which commit this program was built. Made by common/cmake/Revision.cmake; a library of its
// own, so that a commit compiles one file and links only the programs that say it. Thread-safe: a
// constant.

#ifndef DROVER_COMMON_BASE_BUILD_REVISION_H_
#define DROVER_COMMON_BASE_BUILD_REVISION_H_

#include <string>
#include <string_view>

namespace drover {

// 12 hexadecimal digits of the commit, or "unknown" when built from files without git. Changes to
// files that were not committed do not show.
extern const std::string_view kBuildRevision;

// What --version prints: the first line is `program`, its name and version.
inline std::string VersionText(std::string_view program) {
  return std::string(program).append("\nrevision ").append(kBuildRevision);
}

}  // namespace drover

#endif  // DROVER_COMMON_BASE_BUILD_REVISION_H_
