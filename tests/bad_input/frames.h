// Frames of the data plane as bytes, right or wrong. Thread-safe: functions only.

#ifndef DROVER_TESTS_BAD_INPUT_FRAMES_H_
#define DROVER_TESTS_BAD_INPUT_FRAMES_H_

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "common/base/crc32c.h"
#include "common/rpc/frame_header.h"

namespace drover::bad_input {

// With payload_bytes as they are; payload_crc is computed when it is 0.
inline std::string FrameBytes(FrameHeader header, const std::string& payload) {
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  if (header.payload_crc == 0 && !payload.empty()) {
    header.payload_crc = Crc32c(payload.data(), payload.size());
  }
  std::string bytes(kFrameHeaderBytes, '\0');
  EncodeFrameHeader(header, std::span<std::byte, kFrameHeaderBytes>(
                                reinterpret_cast<std::byte*>(bytes.data()), kFrameHeaderBytes));
  return bytes + payload;
}

template <typename T>
std::string PayloadBytes(const std::vector<T>& elements) {
  return std::string(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T));
}

inline std::string StatsBytes(const StepStats& stats) {
  std::string bytes(kStepStatsBytes, '\0');
  EncodeStepStats(stats, std::span<std::byte, kStepStatsBytes>(
                             reinterpret_cast<std::byte*>(bytes.data()), kStepStatsBytes));
  return bytes;
}

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_FRAMES_H_
