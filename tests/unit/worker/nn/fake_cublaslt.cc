#include "tests/unit/worker/nn/fake_cublaslt.h"

#include <gtest/gtest.h>

#include <cstring>

#include "common/tensor/bf16.h"

namespace drover {
namespace {

float ReadAt(const void* values, int type, int64_t i) {
  if (type == kCudaBf16) return FromBf16(static_cast<const uint16_t*>(values)[i]);
  return static_cast<const float*>(values)[i];
}

void WriteAt(void* values, int type, int64_t i, float value) {
  if (type == kCudaBf16) {
    static_cast<uint16_t*>(values)[i] = ToBf16(value);
  } else {
    static_cast<float*>(values)[i] = value;
  }
}

template <typename T>
CublasStatus SetTo(T* member, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return kCublasInvalidValue;
  std::memcpy(member, value, bytes);
  return kCublasSuccess;
}

CublasStatus SetDesc(FakeCublasLt::Desc* desc, int attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case kCublasLtDescTransA:
      return SetTo(&desc->transposes[0], value, bytes);
    case kCublasLtDescTransB:
      return SetTo(&desc->transposes[1], value, bytes);
    case kCublasLtDescEpilogue:
      return SetTo(&desc->epilogue, value, bytes);
    case kCublasLtDescBiasPointer:
      return SetTo(&desc->bias, value, bytes);
    default:
      return kCublasInvalidValue;
  }
}

CublasStatus SetPreference(FakeCublasLt::Preference* preference, int attribute, const void* value,
                           size_t bytes) {
  if (attribute == kCublasLtPreferenceWorkspaceBytes) {
    return SetTo(&preference->workspace_bytes, value, bytes);
  }
  if (attribute == kCublasLtPreferenceReductionMask) {
    return SetTo(&preference->reductions, value, bytes);
  }
  const int which = attribute - kCublasLtPreferenceAlignmentA;
  if (which < 0 || which > 3) return kCublasInvalidValue;
  return SetTo(&preference->alignments[which], value, bytes);
}

}  // namespace

template <typename T>
CublasStatus FakeCublasLt::Create(const std::string& function, void** made, T value) {
  if (Answer(function) != kCublasSuccess) return Answer(function);
  *made = new T(value);
  ++alive;
  return kCublasSuccess;
}

template <typename T>
CublasStatus FakeCublasLt::Destroy(void* made) {
  delete static_cast<T*>(made);
  --alive;
  return kCublasSuccess;
}

CublasLtApi FakeCublasLt::Api() {
  CublasLtApi api;
  api.GetVersion = [] { return size_t{130100}; };
  api.GetStatusString = [](CublasStatus) { return "not supported"; };
  api.Create = [this](void** made) { return Create("Create", made, int{0}); };
  api.Destroy = [this](void* made) { return Destroy<int>(made); };
  api.MatmulDescCreate = [this](void** made, int compute, int scale) {
    return Create("MatmulDescCreate", made, Desc{.compute_type = compute, .scale_type = scale});
  };
  api.MatmulDescSetAttribute = [this](void* desc, int attribute, const void* value, size_t bytes) {
    if (failing == "MatmulDescSetAttribute") return 15;
    return SetDesc(static_cast<Desc*>(desc), attribute, value, bytes);
  };
  api.MatmulDescDestroy = [this](void* made) { return Destroy<Desc>(made); };
  api.MatrixLayoutCreate = [this](void** made, int type, uint64_t rows, uint64_t columns,
                                  int64_t leading) {
    return Create("MatrixLayoutCreate", made,
                  Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
  };
  api.MatrixLayoutDestroy = [this](void* made) { return Destroy<Layout>(made); };
  api.MatmulPreferenceCreate = [this](void** made) {
    return Create("MatmulPreferenceCreate", made, Preference());
  };
  api.MatmulPreferenceSetAttribute = [this](void* set, int attribute, const void* value,
                                            size_t bytes) {
    if (failing == "MatmulPreferenceSetAttribute") return 15;
    return SetPreference(static_cast<Preference*>(set), attribute, value, bytes);
  };
  api.MatmulPreferenceDestroy = [this](void* made) { return Destroy<Preference>(made); };
  api.MatmulAlgoGetHeuristic = [this](void*, void*, void*, void*, void*, void*, void* wanted, int,
                                      CublasLtHeuristicResult* result, int* found) {
    preference = *static_cast<Preference*>(wanted);
    *found = algorithms;
    result->algo.data[0] = static_cast<uint64_t>(++heuristics);
    result->state = Answer("state");
    return Answer("MatmulAlgoGetHeuristic");
  };
  api.Matmul = [this](void*, void* desc, const void* alpha, const void* a, void* a_layout,
                      const void* b, void* b_layout, const void* beta, const void* c,
                      void* c_layout, void* d, void* d_layout, const CublasLtAlgo* algo,
                      void* workspace, size_t workspace_bytes, void* stream) {
    EXPECT_EQ(c_layout, d_layout);
    product = {.desc = *static_cast<Desc*>(desc),
               .a = *static_cast<Layout*>(a_layout),
               .b = *static_cast<Layout*>(b_layout),
               .c = *static_cast<Layout*>(c_layout),
               .a_values = a,
               .b_values = b,
               .c_values = c,
               .d_values = d,
               .alpha = *static_cast<const float*>(alpha),
               .beta = *static_cast<const float*>(beta),
               .algo = algo->data[0],
               .workspace = workspace,
               .workspace_bytes = workspace_bytes,
               .stream = stream};
    if (Answer("Matmul") == kCublasSuccess) Compute();
    return Answer("Matmul");
  };
  return api;
}

void FakeCublasLt::Compute() const {
  const Product& p = product;
  const bool a_is_transposed = p.desc.transposes[0] == kCublasOpT;
  const bool b_is_transposed = p.desc.transposes[1] == kCublasOpT;
  const int64_t k = a_is_transposed ? p.a.rows : p.a.columns;
  ASSERT_EQ(k, b_is_transposed ? p.b.columns : p.b.rows);
  ASSERT_EQ(p.c.rows, a_is_transposed ? p.a.columns : p.a.rows);
  ASSERT_EQ(p.c.columns, b_is_transposed ? p.b.rows : p.b.columns);
  for (const Layout& layout : {p.a, p.b, p.c}) ASSERT_GE(layout.leading, layout.rows);
  for (int64_t column = 0; column < p.c.columns; ++column) {
    for (int64_t row = 0; row < p.c.rows; ++row) {
      float sum = 0.0f;
      for (int64_t i = 0; i < k; ++i) {
        const int64_t a = a_is_transposed ? row * p.a.leading + i : i * p.a.leading + row;
        const int64_t b = b_is_transposed ? i * p.b.leading + column : column * p.b.leading + i;
        sum += ReadAt(p.b_values, p.b.type, b) * ReadAt(p.a_values, p.a.type, a);
      }
      sum *= p.alpha;
      // A bias has the type of the result.
      if (p.desc.epilogue == kCublasLtEpilogueBias) sum += ReadAt(p.desc.bias, p.c.type, row);
      const int64_t at = column * p.c.leading + row;
      if (p.beta != 0.0f) sum += p.beta * ReadAt(p.c_values, p.c.type, at);
      WriteAt(p.d_values, p.c.type, at, sum);
    }
  }
}

}  // namespace drover
