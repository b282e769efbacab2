// The directory that holds a file, to be synced after a rename. Thread-safe.

#ifndef DROVER_SERVER_PARENT_DIRECTORY_H_
#define DROVER_SERVER_PARENT_DIRECTORY_H_

#include <string>

namespace drover {

// "a/b" -> "a", "/b" -> "/", "b" -> ".". `path` does not end in a slash.
inline std::string ParentDirectory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace drover

#endif  // DROVER_SERVER_PARENT_DIRECTORY_H_
