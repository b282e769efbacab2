// A shard of its own for one case: the small job of slow_job.h is placed on it, workers push to it
// over the real data plane, and a slow loop says which weights must come out. One thread.

#ifndef DROVER_TESTS_BAD_INPUT_LAB_SHARD_H_
#define DROVER_TESTS_BAD_INPUT_LAB_SHARD_H_

#include <memory>
#include <string>
#include <vector>

#include "common/rpc/frame_header.h"
#include "common/tls/job_token.h"
#include "tests/bad_input/client.h"
#include "tests/bad_input/data_server.h"
#include "tests/bad_input/world.h"
#include "tests/unit/server/shard/runtime_driver.h"

namespace drover::bad_input {

class LabShard {
 public:
  // With `place` false nothing is placed on it yet.
  explicit LabShard(World* world, int chunks = 1, bool place = true);
  ~LabShard();
  LabShard(const LabShard&) = delete;
  LabShard& operator=(const LabShard&) = delete;

  RuntimeDriver& driver() { return driver_; }
  const DataServer& server() const { return *server_; }
  uint32_t epoch() const { return epoch_; }
  const std::shared_ptr<const Layout>& layout() const { return layout_; }
  int64_t step() const { return slow_.version(); }
  // The right frames of a leaf of the open step: its chunks, then its statistics.
  std::vector<SlowJobFrame> Frames(uint32_t leaf) const {
    return SlowJobFrames(*layout_, step(), leaf, epoch_);
  }
  // The job, again or in a new epoch.
  void Place(uint32_t epoch);
  PlacedReply Place(const PlaceOrder& order);
  // The end of the job.
  void Release();
  // Pushes all leaves of the open step (what is there already is a duplicate), commits, and expects
  // the weights of the slow loop.
  void FinishStep();

 private:
  World* const world_;
  const std::shared_ptr<const Layout> layout_;
  SlowJob slow_;
  uint32_t epoch_ = 1;
  RuntimeDriver driver_;
  std::unique_ptr<DataServer> server_;
};

// Lets worker `name` push to and pull from the shards of the slow job.
JobClaims SlowJobClaims(const std::string& name, uint32_t epoch = 1);
std::string SealSlowJobToken(const JobClaims& claims);

// A worker's stream to the shard, with a good token of its present epoch.
class Pusher {
 public:
  explicit Pusher(LabShard& lab, const std::string& name = "rogue");

  // Sends the frame with its right length and checksum; the verdict on it.
  Verdict Push(const FrameHeader& header, const std::string& payload);
  Verdict Push(const SlowJobFrame& frame) { return Push(frame.header, frame.payload); }
  bool Write(const std::string& bytes) { return stream_->Write(bytes); }
  // The next frame's header and payload.
  std::pair<FrameHeader, std::string> Read();
  // How the server ends the stream.
  Status End() { return stream_->Finish(); }
  void Cancel() { stream_->Cancel(); }

 private:
  const Client client_;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_LAB_SHARD_H_
