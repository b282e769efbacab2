// docs/job_file.md against the descriptors: a field without a line there is a field nobody finds.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/config/scalar_reader.h"
#include "proto/drover/v1/job.pb.h"

namespace drover {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

std::string ReadDocument() {
  std::ifstream file(DROVER_SOURCE_DIR "/docs/job_file.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

struct FieldPath {
  std::string path;
  const FieldDescriptor* field;
};

void AddPaths(const Descriptor& type, const std::string& prefix, std::vector<FieldPath>* paths) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    paths->push_back({prefix + field.name(), &field});
    // A phase's schedule has the fields of the job's.
    if (prefix + field.name() == "phases.schedule") continue;
    // A residual's layers are layers.
    if (prefix + field.name() == "model.layers.residual.layers") continue;
    if (!IsScalarField(field) && !field.is_map()) {
      AddPaths(*field.message_type(), prefix + field.name() + ".", paths);
    }
  }
}

TEST(JobFileDocumentTest, HasALineForEveryFieldAndValue) {
  const std::string document = ReadDocument();
  std::vector<FieldPath> paths;
  AddPaths(*v1::JobSpec::descriptor(), "", &paths);

  ASSERT_GT(paths.size(), 60U);
  for (const FieldPath& path : paths) {
    const size_t begin = document.find("\n| `" + path.path + "` | ");
    ASSERT_NE(begin, std::string::npos) << path.path;
    const std::string line = document.substr(begin + 1, document.find('\n', begin + 1) - begin);
    if (path.field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) continue;
    const EnumDescriptor& type = *path.field->enum_type();
    for (int i = 1; i < type.value_count(); ++i) {
      EXPECT_THAT(line, testing::HasSubstr("`" + EnumValueName(*type.value(i)) + "`"));
    }
  }
}

TEST(JobFileDocumentTest, HasNoLineForAFieldThatIsGone) {
  const std::string document = ReadDocument();
  std::vector<FieldPath> paths;
  AddPaths(*v1::JobSpec::descriptor(), "", &paths);
  size_t lines = 0;
  for (size_t at = document.find("\n| `"); at != std::string::npos;
       at = document.find("\n| `", at + 1)) {
    ++lines;
  }

  EXPECT_EQ(lines, paths.size());
}

}  // namespace
}  // namespace drover
