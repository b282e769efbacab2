# Libraries with code for GPUs. Each exists up to three times, from the same sources:
#   NAME           what programs link: compiled by nvcc, or the stub where there is no CUDA toolkit
#   NAME_stub      answers "this build has no CUDA"
#   NAME_emulated  compiled by the host compiler against tests/support/cuda_emulator, for tests

set(DROVER_HAVE_CUDA FALSE)
if(DROVER_CUDA STREQUAL "AUTO" OR DROVER_CUDA STREQUAL "ON")
  include(CheckLanguage)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  # A100, H100, and PTX for what comes after them.
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual")
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit 12 REQUIRED)
    # CMake 3.25 does not know how nvcc spells C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    set(DROVER_HAVE_CUDA TRUE)
    message(STATUS "CUDA backend: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}")
  elseif(DROVER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "DROVER_CUDA=ON, but no nvcc that works was found: install the CUDA toolkit "
      "12 or later and put its bin folder into PATH, or build without GPUs: -DDROVER_CUDA=OFF")
  else()
    message(STATUS "CUDA backend: none (no nvcc that works)")
  endif()
elseif(NOT DROVER_CUDA STREQUAL "OFF")
  message(FATAL_ERROR "DROVER_CUDA=${DROVER_CUDA}: expected AUTO, ON or OFF")
endif()

# Device code rounds as the CPU builds do: no contraction to FMA.
target_compile_options(drover_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;--expt-relaxed-constexpr;-lineinfo>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fno-math-errno>")

# drover_gpu_library(<name> SOURCES a.cu b.cc ... STUB c_stub.cc ... [REAL d.cc ...]
#   [EMULATED e.cc ...] [DEPS public...])
# REAL is only in <name>, EMULATED only in <name>_emulated: what calls libraries of NVIDIA, and what
# stands in for it.
# DEPS may name other GPU libraries: the emulated library then links their emulated twins.
function(drover_gpu_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;STUB;REAL;EMULATED;DEPS" ${ARGN})
  drover_library(${name}_stub SOURCES ${ARG_STUB} DEPS ${ARG_DEPS})
  if(DROVER_HAVE_CUDA)
    drover_library(${name}
      SOURCES ${ARG_SOURCES} ${ARG_REAL}
      DEPS ${ARG_DEPS}
      PRIVATE_DEPS CUDA::cudart_static)
    set_target_properties(${name} PROPERTIES DROVER_GPU_LIBRARY TRUE)
  else()
    add_library(${name} ALIAS ${name}_stub)
    set_target_properties(${name}_stub PROPERTIES DROVER_GPU_LIBRARY TRUE)
  endif()

  if(DROVER_TESTS)
    drover_emulated_library(${name}_emulated
      SOURCES ${ARG_SOURCES} ${ARG_EMULATED}
      DEPS ${ARG_DEPS})
  endif()
endfunction()

# A source has one language per folder, so the emulated library includes the .cu files from
# C++ files of its own.
function(drover_emulated_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  set(sources)
  foreach(source ${ARG_SOURCES})
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    if(source MATCHES "\\.cu$")
      set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/${source}.cc)
      file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"@path@\"\n" @ONLY)
      drover_compile_alone(${wrapper})  # Kernels' constants have the same names.
      list(APPEND sources ${wrapper})
    else()
      list(APPEND sources ${source})
    endif()
  endforeach()
  set(deps)
  foreach(dep ${ARG_DEPS})
    set(is_gpu_library FALSE)
    if(TARGET ${dep})
      get_target_property(is_gpu_library ${dep} DROVER_GPU_LIBRARY)
    endif()
    if(is_gpu_library)
      list(APPEND deps ${dep}_emulated)
    else()
      list(APPEND deps ${dep})
    endif()
  endforeach()
  drover_library(${name} SOURCES ${sources} DEPS ${deps} drover_cuda_emulator)
  drover_optimise_debug(${name})
  # Only tests link it.
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
endfunction()

# drover_gpu_test(<name> SOURCES a_test.cc b.cu ... DEPS ...)
# A test program for machines with a GPU, built only with CUDA; packed by tests/gpu/bundle. Without a
# GPU each of its tests must skip with a reason: CTest runs it under the label gpu, which ./test
# leaves out.
function(drover_gpu_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT DROVER_HAVE_CUDA)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE
    drover_flags ${ARG_DEPS} CUDA::cudart_static GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/gpu)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS gpu SKIP_REGULAR_EXPRESSION "no GPU here")
endfunction()
