#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>

#include "common/config/scalar_reader.h"
#include "server/cli/job_view.h"

namespace drover {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// In double quotes unless it is a plain word: then it can be nothing else in YAML.
std::string QuoteYaml(const std::string& text) {
  const bool plain = !text.empty() &&
                     std::all_of(text.begin(), text.end(),
                                 [](char c) {
                                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                          (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                                          c == '/' || c == '-';
                                 }) &&
                     text.front() != '-' && text != "null";
  if (plain) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c >= 0 && c < ' ') {
      quoted += fmt::format("\\x{:02x}", c);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string DurationText(const google::protobuf::Duration& duration) {
  if (duration.nanos() == 0) return fmt::format("{}s", duration.seconds());
  return fmt::format("{}ms", duration.seconds() * 1000 + duration.nanos() / 1'000'000);
}

// `index` is -1 for a field that is not repeated.
std::string ScalarText(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return fmt::format(
          "{}", one ? r.GetInt64(message, &field) : r.GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return fmt::format(
          "{}", one ? r.GetUInt64(message, &field) : r.GetRepeatedUInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return fmt::format(
          "{}", one ? r.GetDouble(message, &field) : r.GetRepeatedDouble(message, &field, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumValueName(*r.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return QuoteYaml(one ? r.GetString(message, &field)
                           : r.GetRepeatedString(message, &field, index));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return DurationText(
          static_cast<const google::protobuf::Duration&>(r.GetMessage(message, &field)));
    default:
      return "";
  }
}

std::string ListText(const Message& message, const FieldDescriptor& field) {
  std::string text = "[";
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < size; ++i) {
    if (i > 0) text += ", ";
    text += ScalarText(message, field, i);
  }
  return text + "]";
}

// A value that a job file cannot hold and need not: no limit is the default.
bool IsInfinite(const Message& message, const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE && !field.is_repeated() &&
         std::isinf(message.GetReflection()->GetDouble(message, &field));
}

void WriteFields(const Message& message, int depth, std::string* yaml);

void WriteField(const Message& message, const FieldDescriptor& field, int depth,
                std::string* yaml) {
  const std::string head = std::string(static_cast<size_t>(depth) * 2, ' ') + field.name() + ":";
  if (field.is_map()) {
    std::vector<std::string> entries;
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size; ++i) {
      const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
      entries.push_back(ScalarText(entry, *field.message_type()->map_key(), -1) + ": " +
                        ScalarText(entry, *field.message_type()->map_value(), -1));
    }
    std::sort(entries.begin(), entries.end());
    *yaml += head + "\n";
    for (const std::string& entry : entries) {
      *yaml += std::string(static_cast<size_t>(depth + 1) * 2, ' ') + entry + "\n";
    }
  } else if (field.is_repeated() && !IsScalarField(field)) {
    *yaml += head + "\n";
    const size_t indent = static_cast<size_t>(depth + 1) * 2;
    for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
      std::string inner;
      WriteFields(message.GetReflection()->GetRepeatedMessage(message, &field, i), depth + 2,
                  &inner);
      if (inner.empty()) inner = std::string(indent + 2, ' ') + "{}\n";
      *yaml += inner.replace(indent, 1, "-");
    }
  } else if (field.is_repeated()) {
    *yaml += head + " " + ListText(message, field) + "\n";
  } else if (IsScalarField(field)) {
    if (!IsInfinite(message, field)) *yaml += head + " " + ScalarText(message, field, -1) + "\n";
  } else {
    const Message& group = message.GetReflection()->GetMessage(message, &field);
    std::string inner;
    WriteFields(group, depth + 1, &inner);
    *yaml += inner.empty() ? head + " {}\n" : head + "\n" + inner;
  }
}

void WriteFields(const Message& message, int depth, std::string* yaml) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);  // By number.
  for (const FieldDescriptor* field : fields) WriteField(message, *field, depth, yaml);
}

}  // namespace

std::string SpecToYaml(const v1::JobSpec& spec) {
  std::string yaml;
  WriteFields(spec, 0, &yaml);
  return yaml;
}

}  // namespace drover
