#include "common/config/scalar_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/duration.pb.h>

#include <charconv>
#include <limits>
#include <vector>

#include "common/base/parse.h"
#include "common/config/suggestion.h"

namespace drover {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Status Refuse(std::string what) { return Status(Code::kInvalidArgument, std::move(what)); }

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == google::protobuf::Duration::descriptor();
}

bool IsNumber(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_ENUM:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return false;
    default:
      return true;
  }
}

template <typename Value, typename Set, typename Append>
Status Store(const FieldDescriptor& field, Message* message, Value value, Set set, Append append) {
  const Reflection& reflection = *message->GetReflection();
  if (field.is_repeated()) {
    (reflection.*append)(message, &field, std::move(value));
  } else {
    (reflection.*set)(message, &field, std::move(value));
  }
  return Status();
}

Status ReadUint64(const std::string& text, const FieldDescriptor& field, Message* message) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result whole = std::from_chars(text.data(), end, value);
  if (whole.ec != std::errc() || whole.ptr != end) {  // Suffixes, and the words for errors.
    const Result<int64_t> scaled = ParseInt(text);
    if (!scaled.ok()) return scaled.status();
    if (scaled.value() < 0) {
      return Refuse(fmt::format("{}, expected a whole number that is not negative", text));
    }
    value = static_cast<uint64_t>(scaled.value());
  }
  return Store(field, message, value, &Reflection::SetUInt64, &Reflection::AddUInt64);
}

Status ReadInteger(const std::string& text, const FieldDescriptor& field, Message* message) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) return ReadUint64(text, field, message);
  const Result<int64_t> value = ParseInt(text);
  if (!value.ok()) return value.status();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    return Store(field, message, value.value(), &Reflection::SetInt64, &Reflection::AddInt64);
  }
  if (value.value() < 0 || value.value() > std::numeric_limits<uint32_t>::max()) {
    return Refuse(fmt::format("{}, expected 0 to 2^32 - 1", value.value()));
  }
  return Store(field, message, static_cast<uint32_t>(value.value()), &Reflection::SetUInt32,
               &Reflection::AddUInt32);
}

Status ReadDouble(const std::string& text, const FieldDescriptor& field, Message* message) {
  const Result<double> value = ParseFloat(text);
  if (!value.ok()) return value.status();
  return Store(field, message, value.value(), &Reflection::SetDouble, &Reflection::AddDouble);
}

Status ReadBool(const std::string& text, const FieldDescriptor& field, Message* message) {
  if (text != "true" && text != "false") {
    const bool yes = text == "yes" || text == "on" || text == "True" || text == "1";
    const bool no = text == "no" || text == "off" || text == "False" || text == "0";
    return Refuse(fmt::format("\"{}\", expected true or false{}", text,
                              yes  ? "; did you mean true?"
                              : no ? "; did you mean false?"
                                   : ""));
  }
  return Store(field, message, text == "true", &Reflection::SetBool, &Reflection::AddBool);
}

Status ReadEnum(const YamlNode& node, const FieldDescriptor& field, Message* message) {
  const EnumDescriptor& type = *field.enum_type();
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;  // Unspecified.
    names.push_back(EnumValueName(*type.value(i)));
    if (names.back() == node.text) {
      message->GetReflection()->SetEnum(message, &field, type.value(i));
      return Status();
    }
  }
  return Refuse(fmt::format("{}{}", DescribeYaml(node), Suggest(node.text, names)));
}

Status ReadDuration(const std::string& text, const FieldDescriptor& field, Message* message) {
  const Result<int64_t> milliseconds = ParseMilliseconds(text);
  if (!milliseconds.ok()) return milliseconds.status();
  google::protobuf::Duration duration;
  duration.set_seconds(milliseconds.value() / 1000);
  duration.set_nanos(static_cast<int32_t>(milliseconds.value() % 1000 * 1'000'000));
  message->GetReflection()->MutableMessage(message, &field)->CopyFrom(duration);
  return Status();
}

std::string EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) names.push_back(EnumValueName(*type.value(i)));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::string EnumValueName(const EnumValueDescriptor& value) {
  // The zero value is named PREFIX_UNSPECIFIED.
  constexpr size_t kSuffixBytes = std::string_view("UNSPECIFIED").size();
  const std::string& zero = value.type()->value(0)->name();
  std::string name = value.name().substr(zero.size() - kSuffixBytes);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

bool IsScalarField(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || IsDuration(field);
}

std::string ExpectedScalar(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number such as 0.01 or 1e-3";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return "text";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "one of " + EnumNames(*field.enum_type());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a time such as 90s, 10m or 2h";
    default:
      return "a whole number such as 32768 or 32Ki";
  }
}

Status ReadScalar(const YamlNode& node, const FieldDescriptor& field, Message* message) {
  if (node.kind != YamlNode::Kind::kScalar || (node.quoted && IsNumber(field))) {
    return Refuse(fmt::format("{}, expected {}", DescribeYaml(node), ExpectedScalar(field)));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return Store(field, message, node.text, &Reflection::SetString, &Reflection::AddString);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(node, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ReadDuration(node.text, field, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      return ReadBool(node.text, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ReadDouble(node.text, field, message);
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_UINT32:
      return ReadInteger(node.text, field, message);
    default:
      return Refuse(fmt::format("field {} has a type that job files cannot hold", field.name()));
  }
}

}  // namespace drover
