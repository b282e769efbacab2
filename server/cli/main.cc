// The program `drover`: its command line. What the verbs do stands in the *_command(s) files.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>

#include "common/base/build_revision.h"
#include "common/base/parse.h"
#include "common/base/quote.h"
#include "common/config/flags.h"
#include "common/config/suggestion.h"
#include "common/rpc/transport.h"
#include "common/tls/certificate.h"
#include "server/cli/certs_commands.h"
#include "server/cli/checkpoint_commands.h"
#include "server/cli/data_commands.h"
#include "server/cli/doctor.h"
#include "server/cli/exit_code.h"
#include "server/cli/interrupt.h"
#include "server/cli/job_commands.h"
#include "server/cli/run_command.h"
#include "server/cli/token_commands.h"
#include "server/cli/tool_commands.h"

namespace drover {
namespace {

// Everything the command line can set, and the verb it chose.
struct CommandLine {
  GlobalOptions global;
  RunOptions run;
  SubmitOptions submit;
  LogsOptions logs;
  ExportOptions export_options;
  TokenizeOptions tokenize;
  CertsOptions certs;
  std::vector<std::string> words;
  std::string name;
  std::string path;
  std::string rule;
  std::string json_path;
  std::string output_dir;
  DoctorOptions doctor;
  TlsFlags tls;
  std::string token_file;
  std::function<int()> verb;
};

void AddGlobalFlags(CLI::App* app, GlobalOptions* global) {
  app->add_option("--server", global->server, "Address of the coordinator")
      ->type_name("HOST:PORT")
      ->check([](const std::string& text) { return CheckAddress(text).message(); })
      ->capture_default_str();
  app->add_option("-o,--output", global->output,
                  "Form of the data: table or json; of metrics also csv, jsonl, tensorboard")
      ->check(CLI::IsMember({"table", "json", "csv", "jsonl", "tensorboard"}))
      ->type_name("FORM");
  app->add_option_function<std::string>(
         "--timeout",
         [global](const std::string& text) {
           global->timeout = std::chrono::milliseconds(ParseMilliseconds(text).value());
         },
         "Longest wait for an answer of the coordinator [5s]")
      ->check([](const std::string& text) {
        const Result<int64_t> time = ParseMilliseconds(text);
        return time.ok() ? std::string() : time.status().message();
      })
      ->type_name("TIME");
  app->add_option_function<std::string>(
         "--color",
         [global](const std::string& mode) {
           global->color = mode == "always"  ? ColorMode::kAlways
                           : mode == "never" ? ColorMode::kNever
                                             : ColorMode::kAuto;
         },
         "auto (on terminals), always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
}

// A verb that runs `action` when it is chosen. Global flags may stand behind it.
CLI::App* AddVerb(CLI::App* app, CommandLine* line, const std::string& name,
                  const std::string& help, std::function<int()> action) {
  CLI::App* const verb = app->add_subcommand(name, help);
  verb->fallthrough();
  verb->callback([line, action = std::move(action)] { line->verb = action; });
  return verb;
}

void AddJobFileFlags(CLI::App* verb, std::string* path, std::vector<std::string>* overrides) {
  verb->add_option("FILE", *path, "Job file; - is standard input")->required();
  verb->add_option("--set", *overrides, "Set a field of the job file: --set steps=100")
      ->type_name("FIELD=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

void AddRun(CLI::App* app, CommandLine* line) {
  CLI::App* const run =
      AddVerb(app, line, "run", "Train a job on a cluster of processes on this machine",
              [line] { return RunCommand(line->global, line->run); });
  AddJobFileFlags(run, &line->run.job_file, &line->run.overrides);
  run->add_option("--workers", line->run.workers, "Worker processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  run->add_option("--shards", line->run.shards, "Shard processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  run->add_option("--state-dir", line->run.state_dir,
                  "Keep jobs and checkpoints here; the same command goes on with an unfinished job")
      ->type_name("DIR");
  run->add_flag("--keep", line->run.keep, "Keep the temporary state directory");
  run->add_option("--json", line->run.json_path, "Write the result as JSON")->type_name("FILE");
  run->add_option("--log-level", line->run.log_level, "Of the processes' logs")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

void AddSubmit(CLI::App* app, CommandLine* line) {
  CLI::App* const submit = AddVerb(app, line, "submit", "Give a job to the coordinator",
                                   [line] { return SubmitCommand(line->global, line->submit); });
  AddJobFileFlags(submit, &line->submit.job_file, &line->submit.overrides);
  submit->add_flag("--dry-run", line->submit.dry_run, "Check the job, print it whole, create none");
  submit->add_flag("--watch", line->submit.watch, "Then watch it");
  submit
      ->add_option("--request-id", line->submit.request_id,
                   "A repeat with the same id gives the same job")
      ->type_name("ID");
}

void AddJobVerbs(CLI::App* app, CommandLine* line) {
  CLI::App* const get =
      AddVerb(app, line, "get", "List jobs or checkpoints, or what the steps of a job reported",
              [line] { return GetCommand(line->global, line->words, line->output_dir); });
  get->add_option("KIND NAME", line->words, "[job|checkpoint|metrics] [NAME]")->expected(0, 2);
  get->add_option("--output-dir", line->output_dir, "Where -o tensorboard writes its file")
      ->type_name("DIR");
  AddVerb(app, line, "describe", "Everything about one job",
          [line] { return DescribeCommand(line->global, line->words); })
      ->add_option("KIND NAME", line->words, "[job] NAME")
      ->expected(1, 2)
      ->required();
  AddVerb(app, line, "watch", "Follow a job until its end",
          [line] { return WatchCommand(line->global, line->name); })
      ->add_option("JOB", line->name, "Name, id, or unique start of an id")
      ->required();
  CLI::App* const logs = AddVerb(app, line, "logs", "Log lines of a job",
                                 [line] { return LogsCommand(line->global, line->logs); });
  logs->add_option("JOB", line->logs.job, "Name, id, or unique start of an id")->required();
  logs->add_flag("-f,--follow", line->logs.follow, "Go on until the job ends");
  logs->add_option("--task", line->logs.task, "Only these: coordinator, worker/NAME, shard/NAME");
  logs->add_option("--tail", line->logs.tail, "Only the last lines")->check(CLI::Range(0, 1000000));
  const auto add = [app, line](const char* name, const char* help, JobVerbName verb) {
    AddVerb(app, line, name, help,
            [line, verb] { return VerbCommand(line->global, verb, line->name); })
        ->add_option("JOB", line->name, "Name, id, or unique start of an id")
        ->required();
  };
  add("cancel", "End a job after its open step; a checkpoint is kept", JobVerbName::kCancel);
  add("suspend", "Save a job at a step boundary and free its devices", JobVerbName::kSuspend);
  add("resume", "Let a suspended job go on", JobVerbName::kResume);
  AddVerb(app, line, "delete", "Forget a finished job and remove its checkpoints",
          [line] { return DeleteCommand(line->global, line->name); })
      ->add_option("JOB", line->name, "Name, id, or unique start of an id")
      ->required();
}

void AddCheckpoint(CLI::App* app, CommandLine* line) {
  CLI::App* const checkpoint =
      app->add_subcommand("checkpoint", "List, export and verify checkpoints");
  checkpoint->fallthrough()->require_subcommand(1);
  AddVerb(checkpoint, line, "list", "List checkpoints", [line] {
    std::vector<std::string> words = {"checkpoint"};
    if (!line->name.empty()) words.push_back(line->name);
    return GetCommand(line->global, words);
  })->add_option("JOB", line->name, "Only of this job");
  CLI::App* const save = AddVerb(
      checkpoint, line, "export", "Write the weights as a safetensors file",
      [line] { return ExportCheckpointCommand(line->global, line->name, line->export_options); });
  save->add_option("CHECKPOINT", line->name, "Id or folder")->required();
  save->add_option("--out", line->export_options.out_path, "FILE.safetensors")
      ->type_name("FILE")
      ->required();
  save->add_option("--heads", line->export_options.heads,
                   "Attention heads, for the config.json of a BERT exported by folder")
      ->type_name("N")
      ->check(CLI::Range(1, 16384));
  AddVerb(checkpoint, line, "verify", "Read everything again and compare all digests",
          [line] { return VerifyCheckpointCommand(line->global, line->name); })
      ->add_option("CHECKPOINT", line->name, "Id or folder")
      ->required();
}

void AddData(CLI::App* app, CommandLine* line) {
  CLI::App* const data = app->add_subcommand("data", "Make data sets");
  data->fallthrough()->require_subcommand(1);
  TokenizeOptions* const options = &line->tokenize;
  CLI::App* const tokenize =
      AddVerb(data, line, "tokenize", "Make a vocabulary and token files of plain text",
              [line] { return TokenizeCommand(line->global, line->tokenize); });
  tokenize
      ->add_option("--input", options->inputs, "Plain text, UTF-8; a blank line ends a document")
      ->type_name("FILE...")
      ->required();
  tokenize->add_option("--out", options->out, "Folder for the files")->type_name("DIR")->required();
  CLI::Option* const size =
      tokenize->add_option("--vocab-size", options->vocabulary_size, "Tokens at most, to be learnt")
          ->check(CLI::Range(size_t{6}, kVocabularySizeMax))
          ->capture_default_str();
  tokenize->add_option("--vocab", options->vocabulary_path, "Instead: this vocab.txt")
      ->type_name("FILE")
      ->excludes(size);
  tokenize->add_flag("--lowercase", options->lowercase, "Lower-case the text and strip accents");
  tokenize
      ->add_option("--test-fraction", options->test_fraction, "Of the documents, to be held out")
      ->check(CLI::Range(1e-6, 0.5))
      ->capture_default_str();
}

void AddCerts(CLI::App* app, CommandLine* line) {
  CLI::App* const certs =
      app->add_subcommand("certs", "Certificates for a cluster of several machines");
  certs->fallthrough()->require_subcommand(1);
  CertsOptions* const options = &line->certs;
  const auto add_common = [options](CLI::App* verb) {
    verb->add_option("DIR", options->directory, "Folder of the authority")->required();
    verb->add_option(
            "--host", options->hosts,
            "DNS name or IP address that clients dial; for coordinator and shards, besides "
            "localhost")
        ->type_name("HOST")
        ->take_all()
        ->allow_extra_args(false);
    verb->add_option("--days", options->days, "How long certificates are valid")
        ->check(CLI::Range(1, kCertificateDaysMax))
        ->capture_default_str();
  };
  add_common(AddVerb(certs, line, "init", "Make an authority and a certificate per role",
                     [line] { return CertsInitCommand(line->certs); }));
  CLI::App* const issue = AddVerb(certs, line, "issue", "Make one more certificate",
                                  [line] { return CertsIssueCommand(line->certs); });
  add_common(issue);
  issue->add_option("ROLE", options->role, "viewer, submitter, admin, worker, shard or coordinator")
      ->required();
  issue->add_option("NAME", options->name, "Whose it is; names the files")->required();
  issue->add_option("--out", options->out, "Folder for the files; default: DIR")->type_name("DIR");
}

void AddTokens(CLI::App* app, CommandLine* line) {
  CLI::App* const tokens = app->add_subcommand("tokens", "Bearer tokens of users");
  tokens->fallthrough()->require_subcommand(1);
  const auto add = [line, tokens](const char* name, const char* help, std::function<int()> action) {
    CLI::App* const verb = AddVerb(tokens, line, name, help, std::move(action));
    verb->add_option("FILE", line->path, "What --tokens of the coordinator names")->required();
    return verb;
  };
  CLI::App* const add_one = add("add", "Make a token and print it once", [line] {
    return TokensAddCommand(line->path, line->rule, line->name);
  });
  add_one->add_option("ROLE", line->rule, "viewer, submitter or admin")->required();
  add_one->add_option("NAME", line->name, "Whose it is")->required();
  add("list", "Who has a token", [line] { return TokensListCommand(line->path); });
  add("revoke", "Make a token worthless at once",
      [line] { return TokensRevokeCommand(line->path, line->name); })
      ->add_option("NAME", line->name, "Whose")
      ->required();
}

void AddTools(CLI::App* app, CommandLine* line) {
  CLI::App* const check = app->add_subcommand("check", "Prove that this build computes right");
  check->fallthrough()->require_subcommand(1);
  CLI::App* const optimizers =
      AddVerb(check, line, "optimizers", "Update rules against known answers",
              [line] { return CheckOptimizersCommand(line->path, line->rule); });
  optimizers->add_option("FILE", line->path, "Known answers (JSON)")->required();
  optimizers->add_option("--rule", line->rule, "Only this rule");

  CLI::App* const bench = app->add_subcommand("bench", "Measure this machine");
  bench->fallthrough()->require_subcommand(1);
  AddVerb(bench, line, "wire", "Gradients and weights over loopback, beside plain sockets",
          [line] { return BenchWireCommand(line->json_path); })
      ->add_option("--json", line->json_path, "Write the figures")
      ->type_name("FILE");
  AddVerb(bench, line, "optimizer", "Update rules beside the memory's own speed",
          [line] { return BenchOptimizerCommand(line->json_path); })
      ->add_option("--json", line->json_path, "Write the figures")
      ->type_name("FILE");

  CLI::App* const doctor =
      AddVerb(app, line, "doctor",
              "Whether this machine can run Drover; with --server also the way to it", [line] {
                return line->name.empty() ? DoctorCommand(line->global, line->doctor)
                                          : ProbeCommand(line->global, line->name);
              });
  doctor->add_option("--state-dir", line->doctor.state_dir, "Where state would be kept")
      ->type_name("DIR")
      ->capture_default_str();
  doctor
      ->add_option("--job", line->doctor.job_file,
                   "Also whether this job's data and memory are here")
      ->type_name("FILE");
  AddGpuMemoryFlag(doctor,
                   "With --job: of the GPUs it is meant for [what is free on this machine's]",
                   &line->doctor.gpu_memory_bytes);
  doctor->add_option("--probe", line->name, "Instead: one health call to a daemon")
      ->type_name("HOST:PORT");
  AddVerb(app, line, "version", "Print the version", [] {
    fmt::print("{}\n", VersionText("drover " DROVER_VERSION));
    return kExitOk;
  });
}

// CLI11 would only say that a subcommand is required.
int ReportUnknownVerb(const CLI::App& app, const std::string& word) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    verbs.push_back(verb->get_name());
  }
  ReportError(Status(Code::kInvalidArgument,
                     fmt::format("unknown {} {}{}", word.starts_with('-') ? "flag" : "verb",
                                 Quote(word, 60), Suggest(word, verbs))),
              "drover --help lists all verbs and flags");
  return kExitUsage;
}

int Main(int argc, char** argv) {
  CLI::App app("Drover: distributed large-batch training whose weights do not depend on who helped",
               "drover");
  CommandLine line;
  app.set_version_flag("--version", VersionText("drover " DROVER_VERSION));
  app.require_subcommand(1);
  AddGlobalFlags(&app, &line.global);
  AddTlsFlags(&app, &line.tls);
  app.add_option("--token-file", line.token_file, "Bearer token of a user, in place of --tls-cert")
      ->type_name("FILE");
  AddRun(&app, &line);
  AddSubmit(&app, &line);
  AddJobVerbs(&app, &line);
  AddCheckpoint(&app, &line);
  AddData(&app, &line);
  AddCerts(&app, &line);
  AddTokens(&app, &line);
  AddTools(&app, &line);
  app.footer(
      "Exit codes: 0 ok, 1 job or check failed, 2 usage or job file, 3 not found,\n"
      "4 no coordinator, 5 timeout, 130 interrupted. Job files: docs/job_file.md");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.get_subcommands().empty() && !app.remaining().empty()) {
      return ReportUnknownVerb(app, app.remaining().front());
    }
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const std::string& form = line.global.output;
  if (form != "table" && form != "json" && !app.got_subcommand("get")) {
    return ReportError(Status(Code::kInvalidArgument,
                              fmt::format("-o {} is a form of metrics: expected table or json, or "
                                          "drover get metrics JOB",
                                          form)));
  }
  Result<Transport> transport = Transport::Open(line.tls, TlsNeeds(), line.token_file);
  // What is wrong with the files is the doctor's to say, among other things.
  const bool examined = app.got_subcommand("doctor") && line.name.empty();
  if (!transport.ok() && !examined) {
    ReportError(transport.status());
    return kExitUsage;
  }
  if (transport.ok()) line.global.security = transport.value().channels();
  line.doctor.tls = line.tls;
  line.doctor.token_file = line.token_file;
  line.doctor.server_given = app.get_option("--server")->count() > 0;
  line.doctor.can_call = transport.ok();
  return line.verb();
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  drover::CatchInterrupts();
  return drover::Main(argc, argv);
}
