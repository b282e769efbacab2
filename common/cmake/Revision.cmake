# cmake -D SOURCE=tree -D OUTPUT=revision.cc -D HEADER=path/revision.h -P Revision.cmake
# Writes C++ that defines `const std::string_view drover::kBuildRevision`, declared in HEADER, as the
# first 12 digits of the tree's commit, or "unknown" in a tree without git: one that was unpacked
# inside another project has not that project's commit.
set(revision unknown)
if(EXISTS ${SOURCE}/.git)
  execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND answer MATCHES "^[0-9a-f]+$")
    set(revision ${answer})
  endif()
endif()
file(WRITE ${OUTPUT} "// Made by Revision.cmake.\n#include \"${HEADER}\"\n\nnamespace drover {\n\n\
const std::string_view kBuildRevision = \"${revision}\";\n\n}  // namespace drover\n")
