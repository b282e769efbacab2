#include "server/coordinator/checkpoint_folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "common/base/quote.h"
#include "server/checkpoint_file.h"
#include "server/coordinator/job_proto.h"

namespace drover {
namespace {

constexpr std::string_view kHidden = ".deleted";

std::string FolderOf(const std::string& root, uint64_t job) { return root + "/" + JobIdText(job); }

Status Move(FileSystem& fs, const std::string& root, const std::string& from,
            const std::string& to) {
  if (!fs.Exists(from)) return Status();
  DROVER_RETURN_IF_ERROR(fs.Rename(from, to));
  return fs.SyncDirectory(root);
}

void Remove(FileSystem& fs, const std::string& path, std::vector<std::string>* notes) {
  const Status status = fs.RemoveAll(path);
  notes->push_back(status.ok() ? "removed " + Quote(path) : status.message());
}

// 16 hexadecimal digits and the suffix: nothing else in the directory is ours to remove.
bool IsHiddenFolder(const std::string& name) {
  constexpr size_t kDigits = 16;
  return name.size() == kDigits + kHidden.size() && name.ends_with(kHidden) &&
         std::all_of(name.begin(), name.begin() + kDigits,
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string HiddenJobFolder(const std::string& root, uint64_t job) {
  return FolderOf(root, job) + std::string(kHidden);
}

Status HideJobFolder(FileSystem& fs, const std::string& root, uint64_t job) {
  return Move(fs, root, FolderOf(root, job), HiddenJobFolder(root, job));
}

Status ShowJobFolder(FileSystem& fs, const std::string& root, uint64_t job) {
  return Move(fs, root, HiddenJobFolder(root, job), FolderOf(root, job));
}

std::vector<std::string> TidyJobFolders(FileSystem& fs, const std::string& root,
                                        const std::vector<uint64_t>& jobs) {
  std::vector<std::string> notes;
  for (const uint64_t job : jobs) {
    const Status shown = ShowJobFolder(fs, root, job);
    if (!shown.ok()) notes.push_back(shown.message());
    const std::string checkpoints = FolderOf(root, job) + "/ckpt";
    if (!fs.Exists(checkpoints)) continue;
    const Result<std::vector<std::string>> names = fs.List(checkpoints);
    if (!names.ok()) {
      notes.push_back(names.status().message());
      continue;
    }
    for (const std::string& name : names.value()) {
      if (name.starts_with(kStagingPrefix)) Remove(fs, checkpoints + "/" + name, &notes);
    }
  }
  const Result<std::vector<std::string>> folders = fs.List(root);
  if (!folders.ok()) return notes;  // No checkpoint was ever written.
  for (const std::string& name : folders.value()) {
    const bool kept = std::any_of(jobs.begin(), jobs.end(), [&](uint64_t job) {
      return HiddenJobFolder(root, job) == root + "/" + name;
    });
    if (!kept && IsHiddenFolder(name)) Remove(fs, root + "/" + name, &notes);
  }
  return notes;
}

}  // namespace drover
