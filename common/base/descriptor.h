// An open file, socket or pipe: closed with its owner. One owner at a time; not thread-safe.

#ifndef DROVER_COMMON_BASE_DESCRIPTOR_H_
#define DROVER_COMMON_BASE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace drover {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  int number() const { return number_; }  // Negative: nothing is open.
  void Close() {
    if (number_ >= 0) close(std::exchange(number_, -1));
  }
  int Release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_DESCRIPTOR_H_
