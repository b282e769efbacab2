// A tree of YAML into a protobuf message, walked along its descriptor: a new field of JobSpec needs
// no line here. Strict: reports every field that does not exist or does not fit, with its position.
// Not thread-safe.

#ifndef DROVER_COMMON_CONFIG_MESSAGE_READER_H_
#define DROVER_COMMON_CONFIG_MESSAGE_READER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <vector>

#include "common/config/yaml_tree.h"

namespace drover {

class MessageReader {
 public:
  // `found` is called with the path of every field that is set, such as "optimizer.lamb.beta1".
  using Found = std::function<void(const std::string& path, TextPosition at)>;

  // Both must outlive the reader.
  MessageReader(std::vector<YamlProblem>* problems, Found found)
      : problems_(problems), found_(std::move(found)) {}

  // Lists of groups have paths such as "phases[0].steps".
  // Sets what `node`, a map, says, over what `message` holds already. A name alone stands for an
  // empty group where one of several is chosen: `optimizer: lamb`.
  void Read(const YamlNode& node, const std::string& path, google::protobuf::Message* message);

 private:
  void ReadField(const YamlNode& key, const YamlNode& value, const std::string& path,
                 const google::protobuf::FieldDescriptor& field,
                 google::protobuf::Message* message);
  void ReadList(const YamlNode& value, const std::string& path,
                const google::protobuf::FieldDescriptor& field, google::protobuf::Message* message);
  void ReadMap(const YamlNode& value, const std::string& path,
               const google::protobuf::FieldDescriptor& field, google::protobuf::Message* message);
  // True when `node` was a name alone.
  bool ReadShorthand(const YamlNode& node, const std::string& path,
                     google::protobuf::Message* message);
  void Refuse(TextPosition at, std::string what) { problems_->push_back({at, std::move(what)}); }

  std::vector<YamlProblem>* const problems_;
  const Found found_;
};

// The fields of a message by name, in the order of their numbers.
std::vector<std::string> FieldNames(const google::protobuf::Descriptor& type);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_MESSAGE_READER_H_
