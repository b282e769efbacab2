# The kinds of target; those with GPU code are in DroverGpu.cmake. Everything of ours is compiled
# with the same flags, so that a formula gives the same bits in every file: no contraction to FMA,
# no errno from sqrt, no fast-math.

add_library(drover_flags INTERFACE)
target_compile_options(drover_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Werror>"
  "$<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off;-fno-math-errno>")
target_include_directories(drover_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(CMAKE_UNITY_BUILD)
  # It is off in the main file of a compilation, which a file among others no longer is.
  target_compile_options(drover_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>")
endif()
if(DROVER_SANITIZE)
  target_compile_options(drover_flags INTERFACE
    -fsanitize=${DROVER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    # Asking before each use is two fifths of the build's time. A null pointer faults anyway, and
    # x86-64 reads where it likes, but for vectors, whose faults the release tests would show.
    -fno-sanitize=null,alignment
    # GCC 12 warns of std::optional members that the instrumented code hides from its analysis.
    -Wno-maybe-uninitialized)
  target_link_options(drover_flags INTERFACE -fsanitize=${DROVER_SANITIZE})
  if(DROVER_SANITIZE MATCHES thread)
    # With this macro protobuf's maps have a member more than in the library that is installed.
    target_compile_options(drover_flags INTERFACE -U__SANITIZE_THREAD__)
  endif()
endif()

# Most of a file's compile time is the headers of gRPC, gtest and the standard library. The presets
# release and asan therefore compile six files of a target as one (CMAKE_UNITY_BUILD), and names in
# the anonymous namespaces of a target must differ.
# drover_compile_alone(<file.cc> ...): not together with other files of its target.
function(drover_compile_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# drover_library(<name> SOURCES a.cc ... [DEPS public...] [PRIVATE_DEPS private...])
function(drover_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE drover_flags ${ARG_PRIVATE_DEPS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# drover_optimise_debug(<name>): a little, where tests under the sanitizers would take minutes.
function(drover_optimise_debug name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Debug>:-O1>)
endfunction()

# drover_program(<name> SOURCES main.cc ... DEPS ...)
function(drover_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE drover_flags ${ARG_DEPS})
endfunction()

# drover_embed(<text file> <output.cc> HEADER path/x.h CONSTANT kX): the text as a string_view that
# the header declares. The output stands in the current binary directory; list it in SOURCES.
function(drover_embed input output)
  cmake_parse_arguments(ARG "" "HEADER;CONSTANT" "" ${ARGN})
  set(script ${PROJECT_SOURCE_DIR}/common/cmake/EmbedText.cmake)
  add_custom_command(
    OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${output}
    COMMAND ${CMAKE_COMMAND} -D INPUT=${CMAKE_CURRENT_SOURCE_DIR}/${input}
      -D OUTPUT=${CMAKE_CURRENT_BINARY_DIR}/${output} -D HEADER=${ARG_HEADER}
      -D CONSTANT=${ARG_CONSTANT} -P ${script}
    DEPENDS ${input} ${script}
    VERBATIM)
endfunction()

# drover_test(<name> LABEL unit|sim|integration SOURCES a_test.cc ... DEPS ...)
# One program per folder; CTest runs it whole.
function(drover_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE drover_flags ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  # What is tested is optimised; the tests need not be, and compile in two thirds of the time.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
  set_property(GLOBAL APPEND PROPERTY DROVER_${ARG_LABEL}_TESTS ${name})
endfunction()

# drover_multi_isa(<target> <file_kernels.cc>): compiles the file once per instruction set, with
# DROVER_ISA set to generic, avx2 or avx512. No FMA instruction may appear: it rounds once less.
function(drover_multi_isa target source)
  get_filename_component(stem ${source} NAME_WE)
  foreach(isa generic avx2 avx512)
    set(object ${target}_${stem}_${isa})
    add_library(${object} OBJECT ${source})
    target_link_libraries(${object} PRIVATE drover_flags)
    target_compile_definitions(${object} PRIVATE DROVER_ISA=${isa})
    target_compile_options(${object} PRIVATE -O3)
    if(isa STREQUAL avx2)
      target_compile_options(${object} PRIVATE -mavx2)
    elseif(isa STREQUAL avx512)
      target_compile_options(${object} PRIVATE
        -mavx512f -mavx512dq -mavx512bw -mavx512vl -mprefer-vector-width=512)
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()
