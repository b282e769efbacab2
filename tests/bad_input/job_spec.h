// A good job of 40 steps in text form, changed as a case says. Thread-safe: functions only.

#ifndef DROVER_TESTS_BAD_INPUT_JOB_SPEC_H_
#define DROVER_TESTS_BAD_INPUT_JOB_SPEC_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/drover/v1/job.pb.h"

namespace drover::bad_input {

// A request for it with `change` (text form of JobSpec) merged in: scalars are replaced.
inline v1::CreateJobRequest JobRequest(const std::string& change = "",
                                       const std::string& request_id = "") {
  v1::CreateJobRequest request;
  const std::string text = R"(
    name: "digits" batch: 64 leaves: 4 micro_batch: 16 steps: 40
    model { mlp { hidden: 8 } } dataset { synthetic_digits {} }
    optimizer { lamb {} } schedule { peak: 0.02 } )";
  using google::protobuf::TextFormat;
  EXPECT_TRUE(TextFormat::ParseFromString(text, request.mutable_spec()));
  EXPECT_TRUE(TextFormat::MergeFromString(change, request.mutable_spec())) << change;
  request.set_request_id(request_id);
  return request;
}

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_JOB_SPEC_H_
