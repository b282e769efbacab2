// The installation mistakes that `drover doctor` knows: a table of pure functions from facts to a
// finding. docs/operations.md shows the same table, and a test compares the two. Thread-safe.

#ifndef DROVER_SERVER_CLI_DOCTOR_CHECKS_H_
#define DROVER_SERVER_CLI_DOCTOR_CHECKS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/cli/doctor_facts.h"

namespace drover {

enum class Health { kOk, kWarn, kFail };

struct Finding {
  std::string subject;
  Health verdict;
  std::string found;
  std::string hint;  // What to do; empty for kOk.
};

struct DoctorCheck {
  const char* name;     // Subject of its finding.
  const char* mistake;  // What goes wrong, for the table in the documents.
  const char* remedy;   // What to do about it; the hint of its finding.
  // What was found, with an empty subject and, unless it has a better one, an empty hint. Nothing
  // when the facts do not allow the question.
  std::optional<Finding> (*judge)(const DoctorFacts& facts);
};

std::span<const DoctorCheck> DoctorChecks();

// The findings of all checks that had something to say, in the order of the table.
std::vector<Finding> Judge(const DoctorFacts& facts);

// The largest micro-batch with which the lanes of this machine fit into `available_bytes`, at most
// a leaf; 0 when not even one sample fits or the model's size is not known.
int64_t LargestMicroBatch(const JobNeeds& needs, int64_t available_bytes);
int64_t WorkerBytes(const JobNeeds& needs, int64_t micro_batch);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_CHECKS_H_
