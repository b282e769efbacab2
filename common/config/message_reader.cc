#include "common/config/message_reader.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "common/base/quote.h"
#include "common/config/scalar_reader.h"
#include "common/config/suggestion.h"

namespace drover {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

// The one choice of a message, or null. What stands beside it may be left out.
const OneofDescriptor* OnlyChoice(const Descriptor& type) {
  return type.real_oneof_decl_count() == 1 ? type.oneof_decl(0) : nullptr;
}

std::vector<std::string> FieldNames(const OneofDescriptor& choice) {
  std::vector<std::string> names;
  for (int i = 0; i < choice.field_count(); ++i) names.push_back(choice.field(i)->name());
  return names;
}

const char* ListExample(const FieldDescriptor& field) {
  if (!IsScalarField(field)) return "{...}, {...}";
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING ? "bias, gamma" : "512, 512";
}

}  // namespace

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

void MessageReader::Read(const YamlNode& node, const std::string& path, Message* message) {
  const Descriptor& type = *message->GetDescriptor();
  if (ReadShorthand(node, path, message)) return;
  if (node.kind != YamlNode::Kind::kMap) {
    const char* const hint = node.kind == YamlNode::Kind::kNull ? "; write {} for defaults" : "";
    Refuse(node.at,
           fmt::format("{}{}, expected a group of fields{}{}", path.empty() ? "" : path + ": ",
                       DescribeYaml(node), path.empty() ? " such as `batch: 32Ki`" : "",
                       path.empty() ? "" : hint));
    return;
  }
  std::map<const OneofDescriptor*, const std::string*> chosen;
  for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const YamlNode& key = node.items[i];
    const FieldDescriptor* const field = type.FindFieldByName(key.text);
    if (field == nullptr) {
      Refuse(key.at,
             fmt::format("unknown field {}{}{}", Quote(key.text, 60),
                         path.empty() ? "" : " in " + path, Suggest(key.text, FieldNames(type))));
      continue;
    }
    if (field->real_containing_oneof() != nullptr) {
      const auto [other, first] = chosen.emplace(field->real_containing_oneof(), &key.text);
      if (!first) {
        Refuse(key.at, fmt::format("{} holds both \"{}\" and \"{}\", expected one of them", path,
                                   *other->second, key.text));
        continue;
      }
    }
    ReadField(key, node.items[i + 1], Join(path, field->name()), *field, message);
  }
}

bool MessageReader::ReadShorthand(const YamlNode& node, const std::string& path, Message* message) {
  const OneofDescriptor* const choice = OnlyChoice(*message->GetDescriptor());
  if (choice == nullptr || node.kind != YamlNode::Kind::kScalar) return false;
  const FieldDescriptor* const field = message->GetDescriptor()->FindFieldByName(node.text);
  if (field == nullptr || field->real_containing_oneof() != choice ||
      field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    Refuse(node.at, fmt::format("{}: {}{}", path, DescribeYaml(node),
                                Suggest(node.text, FieldNames(*choice))));
    return true;
  }
  message->GetReflection()->MutableMessage(message, field);
  found_(Join(path, field->name()), node.at);
  return true;
}

void MessageReader::ReadField(const YamlNode& key, const YamlNode& value, const std::string& path,
                              const FieldDescriptor& field, Message* message) {
  found_(path, key.at);
  if (field.is_map()) {
    ReadMap(value, path, field, message);
  } else if (field.is_repeated()) {
    ReadList(value, path, field, message);
  } else if (IsScalarField(field)) {
    const Status read = ReadScalar(value, field, message);
    if (!read.ok()) Refuse(value.at, path + ": " + read.message());
  } else {
    Read(value, path, message->GetReflection()->MutableMessage(message, &field));
  }
}

void MessageReader::ReadList(const YamlNode& value, const std::string& path,
                             const FieldDescriptor& field, Message* message) {
  if (value.kind != YamlNode::Kind::kList) {
    Refuse(value.at, fmt::format("{}: {}, expected a list such as [{}]", path, DescribeYaml(value),
                                 ListExample(field)));
    return;
  }
  message->GetReflection()->ClearField(message, &field);
  if (!IsScalarField(field)) {
    for (size_t i = 0; i < value.items.size(); ++i) {
      const std::string item_path = fmt::format("{}[{}]", path, i);
      found_(item_path, value.items[i].at);
      Read(value.items[i], item_path, message->GetReflection()->AddMessage(message, &field));
    }
    return;
  }
  for (const YamlNode& item : value.items) {
    const Status read = ReadScalar(item, field, message);
    if (!read.ok()) Refuse(item.at, path + ": " + read.message());
  }
}

void MessageReader::ReadMap(const YamlNode& value, const std::string& path,
                            const FieldDescriptor& field, Message* message) {
  if (value.kind != YamlNode::Kind::kMap) {
    Refuse(value.at, fmt::format("{}: {}, expected a group such as {{team: vision}}", path,
                                 DescribeYaml(value)));
    return;
  }
  const FieldDescriptor& map_key = *field.message_type()->map_key();
  const FieldDescriptor& map_value = *field.message_type()->map_value();
  for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
    const YamlNode& key = value.items[i];
    Message* const entry = message->GetReflection()->AddMessage(message, &field);
    Status read = ReadScalar(key, map_key, entry);
    if (read.ok()) read = ReadScalar(value.items[i + 1], map_value, entry);
    if (!read.ok()) {
      message->GetReflection()->RemoveLast(message, &field);
      Refuse(value.items[i + 1].at, Join(path, key.text) + ": " + read.message());
      continue;
    }
    found_(Join(path, key.text), key.at);
  }
}

}  // namespace drover
