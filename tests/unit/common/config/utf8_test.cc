#include "common/config/utf8.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

// Examples from Unicode 15, section 3.9, tables 3-7 to 3-11.
TEST(IsUtf8Test, AcceptsWellFormedText) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("plain"));
  EXPECT_TRUE(IsUtf8("\x4d\xd0\xb0\xe4\xba\x8c\xf0\x90\x8c\x82"));
  EXPECT_TRUE(IsUtf8("\xf4\x8f\xbf\xbf"));  // U+10FFFF.
}

TEST(IsUtf8Test, RefusesIllFormedBytes) {
  EXPECT_FALSE(IsUtf8("\xc0\xaf"));          // Overlong.
  EXPECT_FALSE(IsUtf8("\xe0\x9f\x80"));      // Overlong.
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));      // Surrogate.
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));  // Beyond U+10FFFF.
  EXPECT_FALSE(IsUtf8("\xe1\x80"));          // Cut off.
  EXPECT_FALSE(IsUtf8("\xf0\x90\x8c\x41"));  // Interrupted.
  EXPECT_FALSE(IsUtf8("\x80"));              // Continuation alone.
}

}  // namespace
}  // namespace drover
