// One value of a job file into one field of a message. The field's type decides how the text is
// read, so that `no`, `1e3` or `010` cannot surprise. Pure; thread-safe.

#ifndef DROVER_COMMON_CONFIG_SCALAR_READER_H_
#define DROVER_COMMON_CONFIG_SCALAR_READER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "common/base/status.h"
#include "common/config/yaml_tree.h"

namespace drover {

// Sets `field` of `message`, or appends to it when it is repeated. The field is an integer, a
// double, a bool, a string, an enum or a google.protobuf.Duration. kInvalidArgument: what was found
// and what was expected.
Status ReadScalar(const YamlNode& node, const google::protobuf::FieldDescriptor& field,
                  google::protobuf::Message* message);

// "a whole number such as 32768 or 32Ki": what ReadScalar takes.
std::string ExpectedScalar(const google::protobuf::FieldDescriptor& field);

// Whether the field is read from one value, repeated or not; else it is a group of fields.
bool IsScalarField(const google::protobuf::FieldDescriptor& field);

// "polynomial" of DECAY_POLYNOMIAL in enum Decay.
std::string EnumValueName(const google::protobuf::EnumValueDescriptor& value);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_SCALAR_READER_H_
