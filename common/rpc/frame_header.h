// The 64 bytes in front of every payload between worker and shard, little-endian. Pure bytes: knows
// nothing of gRPC, slices or what an accumulator does with them. Thread-safe: values and functions.
//
//   offset size field
//        0    4 magic         "DRVF"
//        4    1 version       1
//        5    1 type          FrameType
//        6    1 encoding      FrameEncoding of the payload
//        7    1 verdict       Verdict; kAck only, else 0
//        8    8 job           number of the job
//       16    4 epoch         fencing number E
//       20    4 payload_bytes what follows the header, exactly
//       24    8 step          t; kPull, kWeights, kGone: a version
//       32    4 block_begin   first block of the chunk
//       36    4 block_count   blocks of the chunk; 0 when the frame is about no chunk
//       40    4 leaf_begin    leaves [leaf_begin, leaf_end) that are summed in the payload
//       44    4 leaf_end
//       48    8 layout_hash
//       56    4 payload_crc   CRC-32C of the payload, 0 when it is empty
//       60    4 header_crc    CRC-32C of bytes 0 to 59
//
// Example: gradient of blocks [16, 18) from leaves [3, 4) of job 7, epoch 2, step 9, one f32
// of 1.0:
//   44 52 56 46 01 02 01 00  07 00 00 00 00 00 00 00  02 00 00 00 04 00 00 00
//   09 00 00 00 00 00 00 00  10 00 00 00 02 00 00 00  03 00 00 00 04 00 00 00
//   88 77 66 55 44 33 22 11  ab c4 54 dd d7 bb f4 c7  | 00 00 80 3f

#ifndef DROVER_COMMON_RPC_FRAME_HEADER_H_
#define DROVER_COMMON_RPC_FRAME_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "common/tensor/square_total.h"

namespace drover {

enum class FrameType : uint8_t {
  kHello = 1,     // Worker -> shard, first on a stream: payload is the worker's id as text.
  kGradient = 2,  // Worker -> shard: one chunk of a sum over leaves.
  kStats = 3,     // Worker -> shard: StepStats of the leaves. Accepted once, like a chunk.
  kNonfinite =
      4,         // Worker -> shard: these leaves have no finite gradient; payload names the tensor.
  kPull = 5,     // Worker -> shard: send version `step` as soon as it exists.
  kWeights = 6,  // Shard -> worker: one chunk of version `step`, kF32 or kBf16.
  kAck = 7,   // Shard -> worker: echo of a frame's epoch, step, blocks and leaves with a verdict.
  kGone = 8,  // Shard -> worker: the pulled version is gone; `step` is the current one.
};

enum class FrameEncoding : uint8_t {
  kNone = 0,  // Text, or no payload.
  kF32 = 1,   // float32. A gradient in it is one leaf's.
  kI64 = 2,   // Fixed point, see fixed_point.h.
  kBf16 = 3,  // bfloat16, see bf16.h: weights of a job whose workers compute in it.
};

// What became of a frame. The numbers are on the wire and in metrics.
enum class Verdict : uint8_t {
  kNone = 0,
  kStored = 1,  // First arrival of its chunk.
  kAdded = 2,
  kDuplicate = 3,  // All of its leaves were there already; nothing changed.
  // Refusals: nothing changed.
  kEpoch = 16,      // Not the current epoch.
  kStep = 17,       // Not the open step.
  kLease = 18,      // Leaf range empty or beyond the job's leaves.
  kLayout = 19,     // Other job or layout hash, or blocks that are no chunk of this shard.
  kEncoding = 20,   // An encoding that this type of frame cannot have.
  kLength = 21,     // Payload is not as long as the chunk.
  kChecksum = 22,   // Payload does not match payload_crc.
  kNonfinite = 23,  // NaN or infinity.
  kRange = 24,      // Beyond what fixed point holds.
  kOverlap = 25,    // Some of its leaves are there, some are not.
};
inline bool IsRefusal(Verdict verdict) { return verdict >= Verdict::kEpoch; }
inline constexpr size_t kVerdictsEnd = 26;  // One more than the largest number.

// "stored", "epoch", ...: label values of metrics. "unknown" for other numbers.
const char* VerdictName(Verdict verdict);

struct FrameHeader {
  FrameType type = FrameType::kHello;
  FrameEncoding encoding = FrameEncoding::kNone;
  Verdict verdict = Verdict::kNone;
  uint64_t job = 0;
  uint32_t epoch = 0;
  uint32_t payload_bytes = 0;
  uint64_t step = 0;
  uint32_t block_begin = 0;
  uint32_t block_count = 0;
  uint32_t leaf_begin = 0;
  uint32_t leaf_end = 0;
  uint64_t layout_hash = 0;
  uint32_t payload_crc = 0;

  // May wrap for a hostile header; compare with known chunks, never index with it.
  BlockRange blocks() const { return {block_begin, block_begin + block_count}; }
  LeafRange leaves() const { return {leaf_begin, leaf_end}; }

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

inline constexpr size_t kFrameHeaderBytes = 64;
inline constexpr uint8_t kFrameVersion = 1;
// The largest chunk as int64, and room for texts.
inline constexpr uint32_t kFramePayloadBytesMax = (uint32_t{8} << 20) + (64 << 10);

// Writes kFrameHeaderBytes, header_crc included.
void EncodeFrameHeader(const FrameHeader& header, std::span<std::byte, kFrameHeaderBytes> out);

// kDataLoss when the bytes are damaged (checksum), kFailedPrecondition when they are a frame of
// another release (version, or a type, encoding or verdict that is not known here),
// kInvalidArgument when they are no frame or too long. Any bytes are safe.
Result<FrameHeader> DecodeFrameHeader(std::span<const std::byte> bytes);

// Sums over leaves, exact. As payload: six numbers of 64 bits in this order, little-endian.
struct StepStats {
  int64_t loss = 0;  // Units of 2^-20.
  int64_t correct = 0;
  int64_t samples = 0;
  int64_t tokens = 0;        // Of text, padding not counted.
  SquareTotal squares = {};  // Of |gradient of a leaf|^2, which is a sum over its samples.

  friend bool operator==(const StepStats&, const StepStats&) = default;
};
inline constexpr size_t kStepStatsBytes = 48;
inline constexpr int kLossFractionBits = 20;
void EncodeStepStats(const StepStats& stats, std::span<std::byte, kStepStatsBytes> out);
StepStats DecodeStepStats(std::span<const std::byte, kStepStatsBytes> bytes);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_FRAME_HEADER_H_
