#include "common/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include "common/base/quote.h"
#include "common/base/status.h"
#include "common/config/utf8.h"

namespace drover {
namespace {

TextPosition At(const YAML::Mark& mark) {
  return mark.is_null() ? TextPosition{} : TextPosition{mark.line + 1, mark.column + 1};
}

// Builds the tree from yaml-cpp's events. After the first problem of a kind that makes the rest
// meaningless (too deep, too many nodes) it ignores what follows.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<YamlProblem>* problems) : problems_(problems) {}

  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    Add(YamlNode{YamlNode::Kind::kNull, At(mark), "", false, {}});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "an alias (*name) is not allowed in a job file, write the value out");
    Add(YamlNode{YamlNode::Kind::kNull, At(mark), "", false, {}});
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    Add(YamlNode{YamlNode::Kind::kScalar, At(mark), value, tag == "!", {}});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override {
    if (!full_) CheckKeys(open_.back());
    Close();
  }

 private:
  void Refuse(const YAML::Mark& mark, std::string what) {
    problems_->push_back({At(mark), std::move(what)});
  }

  void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) Refuse(mark, "an anchor (&name) is not allowed in a job file");
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    Refuse(mark, fmt::format("the tag {} is not allowed in a job file", Quote(tag)));
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    ++depth_;
    if (full_) return;
    if (depth_ > kYamlDepthMax) {
      Stop(At(mark), fmt::format("more than {} levels of nesting", kYamlDepthMax));
      return;
    }
    open_.push_back(YamlNode{kind, At(mark), "", false, {}});
  }

  void Close() {
    --depth_;
    if (full_) return;
    YamlNode node = std::move(open_.back());
    open_.pop_back();
    Add(std::move(node));
  }

  void Add(YamlNode node) {
    if (full_) return;
    if (++nodes_ > kYamlNodesMax) {
      Stop(node.at, fmt::format("more than {} values", kYamlNodesMax));
      return;
    }
    if (open_.empty()) {
      root_ = std::move(node);
    } else {
      open_.back().items.push_back(std::move(node));
    }
  }

  void Stop(TextPosition at, std::string what) {
    problems_->push_back({at, std::move(what)});
    full_ = true;
  }

  void CheckKeys(YamlNode& map) {
    std::set<std::string_view> seen;
    for (size_t i = 0; i < map.items.size(); i += 2) {
      const YamlNode& key = map.items[i];
      // yaml-cpp places a missing value at whatever comes next.
      if (map.items[i + 1].kind == YamlNode::Kind::kNull) map.items[i + 1].at = key.at;
      if (key.kind != YamlNode::Kind::kScalar) {
        problems_->push_back(
            {key.at, fmt::format("{} as a key, expected the name of a field", DescribeYaml(key))});
      } else if (key.text == "<<") {
        problems_->push_back({key.at, "a merge key (<<) is not allowed in a job file"});
      } else if (!seen.insert(key.text).second) {
        problems_->push_back({key.at, fmt::format("duplicate field {}", Quote(key.text))});
      }
    }
  }

  std::vector<YamlProblem>* const problems_;
  std::vector<YamlNode> open_;  // Lists and maps that have begun, outermost first.
  YamlNode root_;
  size_t depth_ = 0;
  size_t nodes_ = 0;
  bool full_ = false;
};

// May throw what yaml-cpp throws.
YamlNode ParseDocument(std::string_view text, std::vector<YamlProblem>* problems) {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  TreeBuilder builder(problems);
  if (!parser.HandleNextDocument(builder)) return {YamlNode::Kind::kMap, {1, 1}, "", false, {}};
  std::vector<YamlProblem> ignored;
  TreeBuilder rest(&ignored);
  if (parser.HandleNextDocument(rest)) {
    problems->push_back({rest.TakeRoot().at, "a second document, expected one job per file"});
  }
  return builder.TakeRoot();
}

Status CheckBytes(std::string_view text) {
  if (text.size() > kYamlBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} bytes, expected at most {}", text.size(), kYamlBytesMax));
  }
  if (text.find('\0') != std::string_view::npos) {
    return Status(Code::kInvalidArgument, "a zero byte, expected text");
  }
  if (!IsUtf8(text)) return Status(Code::kInvalidArgument, "bytes that are not UTF-8");
  return Status();
}

}  // namespace

std::string DescribeYaml(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "no value";
    case YamlNode::Kind::kScalar:
      return node.quoted ? "the text " + Quote(node.text, 60) : Quote(node.text, 60);
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a group of fields";
  }
  return "";  // Not reached: the switch is complete.
}

std::optional<YamlNode> ParseYaml(std::string_view text, std::vector<YamlProblem>* problems) {
  const size_t before = problems->size();
  const Status bytes = CheckBytes(text);
  if (!bytes.ok()) {
    problems->push_back({{}, bytes.message()});
    return std::nullopt;
  }
  YamlNode root;
  try {
    root = ParseDocument(text, problems);
  } catch (const YAML::Exception& error) {
    problems->push_back({At(error.mark), "not YAML: " + error.msg});
  } catch (const std::exception& error) {
    problems->push_back({{}, std::string("not YAML: ") + error.what()});
  }
  if (problems->size() > before) return std::nullopt;
  return root;
}

}  // namespace drover
