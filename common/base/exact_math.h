// Transcendental functions from operations that IEEE 754 rounds exactly, so that every build and
// CPU gives the same bits; libm picks another version per CPU (with FMA or without). Pure.

#ifndef DROVER_COMMON_BASE_EXACT_MATH_H_
#define DROVER_COMMON_BASE_EXACT_MATH_H_

#include <cmath>
#include <cstdint>

#include "common/base/host_device.h"

namespace drover {

// Natural logarithm of x > 0, about 1e-16 off in relative terms: with x = m 2^e,
// sqrt(1/2) <= m < sqrt(2) and z = (m - 1) / (m + 1), log m = 2 (z + z^3/3 + z^5/5 + ...),
// |z| < 0.172. NaN and infinity stay.
DROVER_HOST_DEVICE inline double ExactLog(double x) {
  if (!std::isfinite(x)) return x;
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --exponent;
  }
  const double z = (m - 1.0) / (m + 1.0);
  const double zz = z * z;
  double series = 1.0 / 21.0;
  for (int k = 19; k >= 1; k -= 2) series = series * zz + 1.0 / k;
  return exponent * 0.69314718055994531 + 2.0 * z * series;
}

// e^x, about 1e-16 off in relative terms: with x = n ln 2 + r, |r| <= ln 2 / 2, 2^n times the
// series of e^r. 0 below -745, infinity above 709; NaN stays.
double ExactExp(double x);

// cos x for 0 <= x <= pi, about 1e-16 off.
double ExactCos(double x);

// base^exponent, base >= 0 and exponent >= 0: products alone for a whole exponent, with a relative
// error of at most exponent times 2^-53, else e^(exponent log base), with one of about
// 1 + |exponent log base| times 2^-53.
double ExactPower(double base, double exponent);
double ExactPower(double base, int64_t exponent);

// Where the standard normal distribution reaches p, 0 < p < 1: the inverse of its cumulative
// distribution function. 1e-16 relative. Wichura 1988, Applied Statistics algorithm AS 241, PPND16.
double InverseNormal(double p);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_EXACT_MATH_H_
