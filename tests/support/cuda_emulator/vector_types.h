// CUDA's vector types: sizes, alignments and makers as in its vector_types.h, so that a pointer
// that is not aligned for a 16-byte access is found by UBSan here.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_VECTOR_TYPES_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_VECTOR_TYPES_H_

#define DROVER_VECTOR_2(name, scalar)       \
  struct alignas(2 * sizeof(scalar)) name { \
    scalar x, y;                            \
  };                                        \
  inline name make_##name(scalar x, scalar y) { return {x, y}; }
#define DROVER_VECTOR_4(name, scalar)                                 \
  struct alignas(sizeof(scalar) < 4 ? 4 * sizeof(scalar) : 16) name { \
    scalar x, y, z, w;                                                \
  };                                                                  \
  inline name make_##name(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }

DROVER_VECTOR_2(ushort2, unsigned short)
DROVER_VECTOR_2(int2, int)
DROVER_VECTOR_2(uint2, unsigned int)
DROVER_VECTOR_2(float2, float)
DROVER_VECTOR_2(double2, double)
DROVER_VECTOR_2(longlong2, long long)
DROVER_VECTOR_2(ulonglong2, unsigned long long)
DROVER_VECTOR_4(uchar4, unsigned char)
DROVER_VECTOR_4(ushort4, unsigned short)
DROVER_VECTOR_4(int4, int)
DROVER_VECTOR_4(uint4, unsigned int)
DROVER_VECTOR_4(float4, float)

#undef DROVER_VECTOR_2
#undef DROVER_VECTOR_4

struct uint3 {
  unsigned int x, y, z;
};

// Extents of a grid or a block; what is not given is 1.
struct dim3 {
  constexpr dim3(unsigned int x_extent = 1, unsigned int y_extent = 1,  // NOLINT: as CUDA's.
                 unsigned int z_extent = 1)
      : x(x_extent), y(y_extent), z(z_extent) {}
  unsigned int x, y, z;
};

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_VECTOR_TYPES_H_
