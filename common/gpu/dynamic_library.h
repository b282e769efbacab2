// A library that is loaded when it is first needed, so that no program links it and one that never
// asks for it runs without. It stays loaded until the program ends. Immutable after loading, but
// for the list of what was missing: one thread looks functions up.

#ifndef DROVER_COMMON_GPU_DYNAMIC_LIBRARY_H_
#define DROVER_COMMON_GPU_DYNAMIC_LIBRARY_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace drover {

class DynamicLibrary {
 public:
  // Loads the first of `names` that can be loaded. kNotFound when there is none: "WHAT cannot be
  // loaded: HOW TO INSTALL. Tried:" and the loader's words for each name.
  static Result<DynamicLibrary> Load(const std::vector<std::string>& names, const std::string& what,
                                     const std::string& how_to_install);

  // The one of `names` that it is.
  const std::string& name() const { return name_; }

  // Sets *function to what the library exports as `symbol`, a C function of that signature. If
  // there is none, *function stays, and missing() names it.
  template <typename Value, typename... Args>
  void Find(const char* symbol, std::function<Value(Args...)>* function) {
    if (!FindIfThere(symbol, function))
      missing_ += (missing_.empty() ? "" : ", ") + std::string(symbol);
  }
  // Likewise, without missing(); false if there is none.
  template <typename Value, typename... Args>
  bool FindIfThere(const char* symbol, std::function<Value(Args...)>* function) const {
    void* const address = Address(symbol);
    if (address != nullptr) *function = reinterpret_cast<Value (*)(Args...)>(address);
    return address != nullptr;
  }
  // "a, b": what Find did not find.
  const std::string& missing() const { return missing_; }

 private:
  DynamicLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  void* Address(const char* symbol) const;

  void* handle_;
  std::string name_;
  std::string missing_;
};

}  // namespace drover

#endif  // DROVER_COMMON_GPU_DYNAMIC_LIBRARY_H_
