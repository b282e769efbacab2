#include "server/cli/doctor.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/file_system.h"
#include "common/base/thread.h"
#include "common/rpc/health_client.h"
#include "common/text/token_file.h"
#include "common/text/vocabulary.h"
#include "server/cli/doctor_gather.h"
#include "server/cli/doctor_server.h"
#include "server/cli/exit_code.h"
#include "server/cli/gpu_needs.h"
#include "server/cli/job_input.h"
#include "server/cli/job_needs.h"
#include "server/cli/local_cluster.h"
#include "server/cli/styled_line.h"
#include "server/spec.h"

namespace drover {
namespace {

const char* HealthName(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarn:
      return "warn";
    case Health::kFail:
      return "fail";
  }
  return "";  // Not reached: the switch is complete.
}

// Tokens of the dataset's vocabulary; 0 when there is none here.
int64_t VocabularyOf(const v1::JobSpec& spec) {
  if (!spec.dataset().has_text()) return 0;
  const Result<std::string> text = FileSystem::Real().ReadUserFile(
      spec.dataset().text().path() + "/" + kVocabularyName, kVocabularyBytesMax);
  if (!text.ok()) return 0;
  const Result<Vocabulary> vocabulary = Vocabulary::FromText(text.value());
  return vocabulary.ok() ? static_cast<int64_t>(vocabulary.value().size()) : 0;
}

JobNeeds GatherJob(const std::string& path, int64_t gpu_memory_bytes, const DoctorFacts& facts) {
  JobNeeds needs;
  const Result<JobFile> file = ReadCheckedJobFile(path, {});
  if (!file.ok()) {
    needs.problem = file.status().message();
    return needs;
  }
  const v1::JobSpec& written = file.value().spec;
  const Result<JobPlan> plan = PlanJob(written);
  if (!plan.ok()) {
    needs.problem = plan.status().message();
    return needs;
  }
  const v1::JobSpec spec = WithDefaults(written, plan.value());
  needs = NeedsOf(spec, plan.value(), VocabularyOf(spec), CoreCount());
  const Status data = CheckLocalDataset(file.value());
  if (!data.ok()) needs.data_problem = data.message();
  needs.gpu = GatherGpuNeeds(spec, facts.program_directory, facts.machine.gpus, gpu_memory_bytes);
  return needs;
}

DoctorFacts Gather(const GlobalOptions& global, const DoctorOptions& options) {
  DoctorFacts facts;
  facts.machine = GatherMachine();
  facts.version = DROVER_VERSION;
  const Result<std::string> directory = ProgramDirectory();
  if (directory.ok()) {
    facts.program_directory = directory.value();
    facts.programs = GatherPrograms(directory.value());
  }
  facts.state = GatherState(options.state_dir);
  facts.ports = GatherPorts();
  facts.credentials = GatherCredentials(options.tls, options.token_file);
  GatherServer(global, options, &facts);
  if (!options.job_file.empty()) {
    facts.job = GatherJob(options.job_file, options.gpu_memory_bytes, facts);
  }
  return facts;
}

}  // namespace

std::string FormatFindings(const std::vector<Finding>& findings, bool color) {
  std::string text;
  for (const Finding& finding : findings) {
    const Tone tone = finding.verdict == Health::kOk     ? Tone::kGood
                      : finding.verdict == Health::kWarn ? Tone::kWarning
                                                         : Tone::kBad;
    StyledLine line;
    line.Add(fmt::format("{:<5} ", HealthName(finding.verdict)), tone);
    line.Add(fmt::format("{:<16} ", finding.subject)).Add(finding.found);
    text += line.Render(std::string::npos, color) + "\n";
    if (finding.hint.empty()) continue;
    text += StyledLine()
                .Add(fmt::format("{:23}hint: {}", "", finding.hint), Tone::kDim)
                .Render(std::string::npos, color) +
            "\n";
  }
  return text;
}

std::string FindingsToJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    json.push_back({{"subject", finding.subject},
                    {"verdict", HealthName(finding.verdict)},
                    {"found", finding.found},
                    {"hint", finding.hint}});
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int DoctorCommand(const GlobalOptions& global, const DoctorOptions& options) {
  signal(SIGPIPE, SIG_IGN);  // Peers that hang up are part of the examination.
  const std::vector<Finding> findings = Judge(Gather(global, options));
  fmt::print("{}", global.json() ? FindingsToJson(findings)
                                 : FormatFindings(findings, UseColor(global.color, stdout)));
  const bool fails = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Health::kFail;
  });
  return fails ? kExitFailed : kExitOk;
}

int ProbeCommand(const GlobalOptions& global, const std::string& address) {
  const Status health = CheckHealth(address, global.timeout, global.security);
  if (!health.ok()) return ReportError(health);
  fmt::print("serving\n");
  return kExitOk;
}

}  // namespace drover
