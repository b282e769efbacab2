// Jobs and checkpoints as tables, pages and JSON. Pure.

#ifndef DROVER_SERVER_CLI_JOB_VIEW_H_
#define DROVER_SERVER_CLI_JOB_VIEW_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <vector>

#include "proto/drover/v1/job.pb.h"

namespace drover {

// ID NAME STATE PROGRESS LOSS ACCURACY SAMPLES/S AGE.
std::string JobTable(const std::vector<v1::Job>& jobs, int64_t now_unix_ms, bool color);

// ID STEP SIZE WEIGHTS AGE PATH.
std::string CheckpointTable(const std::vector<v1::CheckpointInfo>& checkpoints, int64_t now_unix_ms,
                            bool color);

// Everything about a job, its spec as a job file included.
std::string JobPage(const v1::Job& job, int64_t now_unix_ms, bool color);

// The spec as YAML, fields in the order of their numbers; reads back to the same spec.
std::string SpecToYaml(const v1::JobSpec& spec);

// The JSON mapping of protobuf, with every field.
std::string ToJson(const google::protobuf::Message& message);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_JOB_VIEW_H_
