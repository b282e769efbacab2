#include "common/config/job_file.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <cstdio>
#include <optional>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/config/message_reader.h"
#include "common/config/scalar_reader.h"
#include "common/config/utf8.h"
#include "common/config/yaml_tree.h"

namespace drover {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

std::string Place(const std::string& name, TextPosition at) {
  return at.line == 0 ? name : fmt::format("{}:{}:{}", name, at.line, at.column);
}

// At most kJobFileErrorsMax lines, then how many are missing.
std::string JoinLines(const std::vector<std::string>& lines) {
  std::string joined;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) joined += '\n';
    if (i == kJobFileErrorsMax) return joined + fmt::format("... and {} more", lines.size() - i);
    joined += lines[i];
  }
  return joined;
}

void ReadText(std::string_view text, JobFile* file, std::vector<std::string>* errors) {
  std::vector<YamlProblem> problems;
  const std::optional<YamlNode> root = ParseYaml(text, &problems);
  if (root.has_value()) {
    MessageReader reader(&problems, [file](const std::string& path, TextPosition at) {
      file->where[path] = Place(file->name, at);
    });
    reader.Read(*root, "", &file->spec);
  }
  for (const YamlProblem& problem : problems) {
    errors->push_back(Place(file->name, problem.at) + ": " + problem.what);
  }
}

YamlNode MakeScalar(std::string_view text) {
  return {YamlNode::Kind::kScalar, {}, std::string(text), false, {}};
}

// The value of --set: as it stands for one plain field, as YAML for lists and groups.
std::optional<YamlNode> ReadValue(const FieldDescriptor* field, std::string_view value,
                                  std::vector<YamlProblem>* problems) {
  const bool plain = field == nullptr || (IsScalarField(*field) && !field->is_repeated());
  if (!plain) return ParseYaml(value, problems);
  if (value.empty()) return YamlNode{};
  if (IsUtf8(value)) return MakeScalar(value);
  problems->push_back({{}, "bytes that are not UTF-8"});
  return std::nullopt;
}

// {a: {b: value}} from "a.b" and the value, cut along `type` so that keys of maps may hold dots.
std::optional<YamlNode> MakeTree(const Descriptor* type, std::string_view path,
                                 std::string_view value, std::vector<YamlProblem>* problems) {
  const size_t dot = path.find('.');
  const std::string name(path.substr(0, dot));
  const FieldDescriptor* const field = type == nullptr ? nullptr : type->FindFieldByName(name);
  std::optional<YamlNode> inner;
  if (dot == std::string_view::npos) {
    inner = ReadValue(field, value, problems);
  } else if (field == nullptr || IsScalarField(*field)) {
    // Unknown, or a plain field with something below it: the reader says so.
    inner =
        field == nullptr ? MakeScalar(value) : YamlNode{YamlNode::Kind::kMap, {}, "", false, {}};
  } else if (field->is_map()) {
    inner = YamlNode{
        YamlNode::Kind::kMap, {}, "", false, {MakeScalar(path.substr(dot + 1)), MakeScalar(value)}};
  } else {
    inner = MakeTree(field->message_type(), path.substr(dot + 1), value, problems);
  }
  if (!inner.has_value()) return std::nullopt;
  return YamlNode{YamlNode::Kind::kMap, {}, "", false, {MakeScalar(name), *std::move(inner)}};
}

void ReadOverride(const std::string& text, JobFile* file, std::vector<std::string>* errors) {
  const std::string flag = "--set " + (IsUtf8(text) ? text.substr(0, 200) : Quote(text));
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    errors->push_back(flag + ": expected FIELD=VALUE, such as steps=100");
    return;
  }
  std::vector<YamlProblem> problems;
  const std::string_view all = text;
  const std::optional<YamlNode> tree =
      MakeTree(v1::JobSpec::descriptor(), all.substr(0, equals), all.substr(equals + 1), &problems);
  if (tree.has_value()) {
    MessageReader reader(&problems, [file, &flag](const std::string& path, TextPosition) {
      file->where[path] = flag;
    });
    reader.Read(*tree, "", &file->spec);
  }
  for (const YamlProblem& problem : problems) errors->push_back(flag + ": " + problem.what);
}

Result<std::string> ReadStandardInput() {
  std::string text;
  char buffer[4096];
  while (text.size() <= kYamlBytesMax) {
    const size_t count = std::fread(buffer, 1, sizeof(buffer), stdin);
    if (count == 0) break;
    text.append(buffer, count);
  }
  if (std::ferror(stdin) != 0) return Status(Code::kUnknown, "reading standard input failed");
  return text;
}

}  // namespace

Result<JobFile> ParseJobFile(const std::string& name, std::string_view text,
                             std::span<const std::string> overrides) {
  JobFile file;
  file.name = name;
  std::vector<std::string> errors;
  ReadText(text, &file, &errors);
  for (const std::string& override : overrides) ReadOverride(override, &file, &errors);
  if (!errors.empty()) return Status(Code::kInvalidArgument, JoinLines(errors));
  return file;
}

Result<JobFile> ReadJobFile(const std::string& path, std::span<const std::string> overrides) {
  const Result<std::string> text =
      path == "-" ? ReadStandardInput() : FileSystem::Real().ReadUserFile(path, kYamlBytesMax);
  if (!text.ok()) return text.status();
  return ParseJobFile(path == "-" ? "standard input" : path, text.value(), overrides);
}

std::string LocateProblem(const JobFile& file, const std::string& problem) {
  std::string path = problem.substr(0, problem.find(": "));
  while (true) {
    const auto found = file.where.find(path);
    if (found != file.where.end()) return found->second + ": " + problem;
    const size_t dot = path.rfind('.');
    if (dot == std::string::npos) return file.name + ": " + problem;
    path.resize(dot);
  }
}

std::string LocateProblems(const JobFile& file, const std::string& problems) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < problems.size();) {
    const size_t end = problems.find('\n', begin);
    lines.push_back(LocateProblem(file, problems.substr(begin, end - begin)));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return JoinLines(lines);
}

}  // namespace drover
