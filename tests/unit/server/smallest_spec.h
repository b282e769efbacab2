// A job that says no more than it must, and what is wrong with one, for tests of specs. Pure.

#ifndef DROVER_TESTS_UNIT_SERVER_SMALLEST_SPEC_H_
#define DROVER_TESTS_UNIT_SERVER_SMALLEST_SPEC_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "server/spec.h"

namespace drover {

inline v1::JobSpec SmallestSpec() {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "a"
    model { mlp { hidden: 8 } }
    dataset { synthetic_digits {} }
    batch: 32768
    steps: 100
    optimizer { lamb {} }
    schedule { peak: 0.02 }
  )",
                                                            &spec));
  return spec;
}

// "field: what" of every violation, one per line.
inline std::string Violations(const v1::JobSpec& spec) {
  const Result<JobPlan> plan = PlanJob(spec);
  if (plan.ok()) return "";
  EXPECT_EQ(plan.status().code(), Code::kInvalidArgument);
  return plan.status().message();
}

inline std::string ViolationsAfter(const std::function<void(v1::JobSpec*)>& change) {
  v1::JobSpec spec = SmallestSpec();
  change(&spec);
  return Violations(spec);
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_SMALLEST_SPEC_H_
