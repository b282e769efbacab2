#include "common/gpu/dynamic_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace drover {

Result<DynamicLibrary> DynamicLibrary::Load(const std::vector<std::string>& names,
                                            const std::string& what,
                                            const std::string& how_to_install) {
  std::string tried;
  for (const std::string& name : names) {
    // Its own names stay its own: programs may bring another copy with them. Never closed: its
    // threads may outlive whatever was made with it.
    void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return DynamicLibrary(handle, name);
    const char* const why = dlerror();
    tried += fmt::format("\n  {}: {}", name, why == nullptr ? "unknown" : why);
  }
  return Status(Code::kNotFound,
                fmt::format("{} cannot be loaded: {}. Tried:{}", what, how_to_install, tried));
}

void* DynamicLibrary::Address(const char* symbol) const { return dlsym(handle_, symbol); }

}  // namespace drover
