// An NcclApi without NCCL: ranks' memory is the host's (the emulator's), calls of a group are
// collected and carried out at its end, as NCCL does. A group in which the ranks do not call the
// same is answered as a hang: nothing happens, and the ranks stay in progress. Not thread-safe.

#ifndef DROVER_TESTS_SUPPORT_FAKE_NCCL_H_
#define DROVER_TESTS_SUPPORT_FAKE_NCCL_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <tuple>
#include <vector>

#include "common/base/check.h"
#include "common/gpu/nccl.h"

namespace drover {

class FakeNccl {
 public:
  // Faults, for the tests to set. Ranks count from 0.
  NcclResult init_result = kNcclSuccess;
  int call_fails_of_rank = -1;            // Its next calls answer kNcclInvalidArgument.
  int async_error_of_rank = -1;           // Answers 6, ncclRemoteError.
  std::set<int> ranks_that_never_finish;  // Stay kNcclInProgress.
  // What happened.
  int aborted = 0;
  int destroyed = 0;
  bool in_group = false;

  // Refers to this object.
  NcclApi Api() {
    NcclApi api;
    api.GetVersion = [](int* version) { return *version = 22809, kNcclSuccess; };
    api.GetErrorString = [](NcclResult result) {
      return result == kNcclInvalidArgument ? "invalid argument" : "remote process exited";
    };
    api.GetLastError = [](NcclComm) { return ""; };
    api.CommInitAll = [this](NcclComm* comms, int ranks, const int*) {
      for (int rank = 0; rank < ranks; ++rank) comms[rank] = &ranks_[static_cast<size_t>(rank)];
      count_ = static_cast<size_t>(ranks);
      return init_result;
    };
    api.CommDestroy = [this](NcclComm) { return ++destroyed, kNcclSuccess; };
    api.CommAbort = [this](NcclComm) { return ++aborted, kNcclSuccess; };
    api.CommGetAsyncError = [this](NcclComm comm, NcclResult* error) {
      const int rank = static_cast<int>(RankOf(comm));
      const bool late = ranks_that_never_finish.contains(rank) || hangs_;
      *error = rank == async_error_of_rank ? 6 : late ? kNcclInProgress : kNcclSuccess;
      return kNcclSuccess;
    };
    api.GroupStart = [this] {
      DROVER_CHECK(!in_group);
      in_group = true;
      return kNcclSuccess;
    };
    api.GroupEnd = [this] {
      DROVER_CHECK(in_group);
      in_group = false;
      return RunGroup();
    };
    api.ReduceScatter = [this](const void* in, void* out, size_t count, int type, int op,
                               NcclComm comm, void* stream) {
      DROVER_CHECK(type == kNcclInt64 && op == kNcclSum);
      return Enqueue(comm, {Kind::kReduceScatter, in, out, count, 0, stream});
    };
    api.Broadcast = [this](const void* in, void* out, size_t count, int type, int root,
                           NcclComm comm, void* stream) {
      DROVER_CHECK(type == kNcclInt8);
      return Enqueue(comm, {Kind::kBroadcast, in, out, count, static_cast<size_t>(root), stream});
    };
    return api;
  }

 private:
  enum class Kind { kReduceScatter, kBroadcast };
  struct Call {
    Kind kind;
    const void* in;
    void* out;
    size_t count;
    size_t root;
    void* stream;

    auto Signature() const { return std::tie(kind, count, root); }
  };
  struct Rank {
    std::vector<Call> calls;
  };

  size_t RankOf(NcclComm comm) const {
    return static_cast<size_t>(static_cast<const Rank*>(comm) - ranks_);
  }

  NcclResult Enqueue(NcclComm comm, Call call) {
    DROVER_CHECK(in_group);
    if (static_cast<int>(RankOf(comm)) == call_fails_of_rank) return kNcclInvalidArgument;
    static_cast<Rank*>(comm)->calls.push_back(call);
    return kNcclSuccess;
  }

  NcclResult RunGroup() {
    bool alike = true;
    for (size_t rank = 1; rank < count_; ++rank) {
      alike = alike && ranks_[rank].calls.size() == ranks_[0].calls.size();
      for (size_t i = 0; alike && i < ranks_[0].calls.size(); ++i) {
        alike = ranks_[rank].calls[i].Signature() == ranks_[0].calls[i].Signature();
      }
    }
    hangs_ = !alike;
    for (size_t i = 0; alike && i < ranks_[0].calls.size(); ++i) Run(i);
    for (Rank& rank : ranks_) rank.calls.clear();
    return kNcclSuccess;
  }

  void Run(size_t index) {
    const Call first = ranks_[0].calls[index];
    // It sees what was enqueued before it, on all ranks.
    for (size_t rank = 0; rank < count_; ++rank) {
      const auto stream = static_cast<cudaStream_t>(ranks_[rank].calls[index].stream);
      DROVER_CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    }
    // Inputs first: operations may be in place.
    std::vector<std::vector<uint8_t>> inputs;
    const size_t bytes =
        first.kind == Kind::kReduceScatter ? first.count * count_ * sizeof(uint64_t) : first.count;
    for (size_t rank = 0; rank < count_; ++rank) {
      const uint8_t* in = static_cast<const uint8_t*>(ranks_[rank].calls[index].in);
      inputs.emplace_back(in, in + bytes);
    }
    for (size_t rank = 0; rank < count_; ++rank) {
      uint8_t* out = static_cast<uint8_t*>(ranks_[rank].calls[index].out);
      switch (first.kind) {
        case Kind::kReduceScatter:
          Sum(inputs, rank * first.count, first.count, out);
          break;
        case Kind::kBroadcast:
          std::memcpy(out, inputs[first.root].data(), bytes);
          break;
      }
    }
  }

  // From the last rank to the first, unlike the loop that tests compare with.
  static void Sum(const std::vector<std::vector<uint8_t>>& inputs, size_t begin, size_t count,
                  uint8_t* out) {
    for (size_t i = 0; i < count; ++i) {
      uint64_t sum = 0;
      for (size_t rank = inputs.size(); rank-- > 0;) {
        uint64_t value;
        std::memcpy(&value, inputs[rank].data() + (begin + i) * sizeof(value), sizeof(value));
        sum += value;
      }
      std::memcpy(out + i * sizeof(sum), &sum, sizeof(sum));
    }
  }

  Rank ranks_[8];
  size_t count_ = 0;
  bool hangs_ = false;
};

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_FAKE_NCCL_H_
