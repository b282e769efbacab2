// J 53 to 56: datasets that a job may not name. The coordinator does not look at paths, which mean
// something on the workers only; so the worker's side is asked, as train/job_setup.cc asks it.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/bad_input/world.h"
#include "worker/data/data_files.h"
#include "worker/data/idx_file.h"

namespace drover::bad_input {
namespace {

constexpr char kImages[] = "/train-images-idx3-ubyte";

// What a worker with `root` as its one folder for data says to a dataset of this path. A file that
// may not be read is to it as one that is not there.
Code Open(const std::string& root, const std::string& path) {
  const std::unique_ptr<DataFiles> files = DataFiles::Open({root}).value();
  return OpenIdxDataset(*files, path, Split::kTrain).status().code();
}

// A folder beside the worker's, with a file of the right name in it.
std::string Secret(World& world) {
  const std::string folder = world.NewFolder("secret");
  std::ofstream(folder + kImages) << kCanary;
  return folder;
}

void PathWithDots(World& world) {
  const std::string root = world.NewFolder("root");
  const std::string secret = std::filesystem::path(Secret(world)).filename().string();
  std::filesystem::create_directory(root + "/a");
  for (const std::string& path : {"../" + secret, "a/../../" + secret, root + "/../" + secret,
                                  std::string("../../../../../../etc/passwd")}) {
    EXPECT_EQ(Open(root, path), Code::kPermissionDenied) << path;
  }
}

void AbsolutePath(World& world) {
  const std::string root = world.NewFolder("root");
  for (const std::string& path : {Secret(world), std::string("/etc"), std::string("/proc/self"),
                                  std::string("/"), root + "x"}) {
    EXPECT_EQ(Open(root, path), Code::kPermissionDenied) << path;
  }
}

void LinkOutOfTheRoot(World& world) {
  const std::string root = world.NewFolder("root");
  std::filesystem::create_directory_symlink(Secret(world), root + "/folder");
  std::filesystem::create_directory_symlink("/proc/self/root", root + "/magic");
  std::filesystem::create_directory(root + "/file");
  std::filesystem::create_symlink(Secret(world) + kImages, root + "/file" + kImages);
  EXPECT_EQ(Open(root, "folder"), Code::kPermissionDenied);
  EXPECT_EQ(Open(root, "magic/etc"), Code::kPermissionDenied);
  EXPECT_EQ(Open(root, "file"), Code::kNotFound);
}

// None is waited for or read: a FIFO would hold the worker for ever, a device never end.
void NoRegularFile(World& world) {
  const std::string root = world.NewFolder("root");
  for (const char* name : {"/fifo", "/folder", "/device"}) {
    std::filesystem::create_directory(root + name);
  }
  ASSERT_EQ(mkfifo((root + "/fifo" + kImages).c_str(), 0600), 0);
  std::filesystem::create_directory(root + "/folder" + kImages);
  std::filesystem::create_symlink("/dev/zero", root + "/device" + kImages);
  for (const char* path : {"fifo", "folder", "device"}) {
    EXPECT_EQ(Open(root, path), Code::kNotFound) << path;
  }
}

}  // namespace

std::vector<Case> DataCases() {
  return {
      {53, "dataset ../../etc/passwd", PathWithDots},
      {54, "dataset with an absolute path", AbsolutePath},
      {55, "link in the root", LinkOutOfTheRoot},
      {56, "dataset that is a FIFO, directory or device", NoRegularFile},
  };
}

}  // namespace drover::bad_input
