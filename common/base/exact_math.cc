#include "common/base/exact_math.h"

#include <array>
#include <cstddef>
#include <limits>
#include <numbers>

namespace drover {
namespace {

using Polynomial = std::array<double, 8>;  // Constant term first.

double Evaluate(const Polynomial& p, double x) {
  double value = p[7];
  for (size_t i = 7; i-- > 0;) value = value * x + p[i];
  return value;
}

// The constants of AS 241: numerator and denominator of the middle, |p - 1/2| <= 0.425, ...
constexpr Polynomial kMiddleA = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                 1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                 3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr Polynomial kMiddleB = {1.0,
                                 4.2313330701600911252e+1,
                                 6.8718700749205790830e+2,
                                 5.3941960214247511077e+3,
                                 2.1213794301586595867e+4,
                                 3.9307895800092710610e+4,
                                 2.8729085735721942674e+4,
                                 5.2264952788528545610e+3};
// ... of the tails with r = sqrt(-log p) <= 5, ...
constexpr Polynomial kNearA = {1.42343711074968357734e0,  4.63033784615654529590e0,
                               5.76949722146069140550e0,  3.64784832476320460504e0,
                               1.27045825245236838258e0,  2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr Polynomial kNearB = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9};
// ... and beyond.
constexpr Polynomial kFarA = {6.65790464350110377720e0,  5.46378491116411436990e0,
                              1.78482653991729133580e0,  2.96560571828504891230e-1,
                              2.65321895265761230930e-2, 1.24266094738807843860e-3,
                              2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr Polynomial kFarB = {1.0,
                              5.99832206555887937690e-1,
                              1.36929880922735805310e-1,
                              1.48753612908506148525e-2,
                              7.86869131145613259100e-4,
                              1.84631831751005468180e-5,
                              1.42151175831644588870e-7,
                              2.04426310338993978564e-15};

}  // namespace

double ExactExp(double x) {
  if (std::isnan(x)) return x;
  if (x < -745.0) return 0.0;
  if (x > 709.7) return std::numeric_limits<double>::infinity();
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // Its products with n are exact.
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const double n = std::nearbyint(x / (kLn2High + kLn2Low));
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double series = 1.0;
  for (int k = 14; k >= 1; --k) series = series * r / k + 1.0;
  return std::ldexp(series, static_cast<int>(n));
}

double ExactCos(double x) {
  constexpr double kHalfPi = std::numbers::pi / 2.0;
  if (x > kHalfPi) return -ExactCos(std::numbers::pi - x);
  const double xx = x * x;
  double series = 1.0;
  for (int k = 22; k >= 2; k -= 2) series = 1.0 - series * xx / (k * (k - 1));
  return series;
}

double ExactPower(double base, int64_t exponent) {
  double power = 1.0;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) power *= base;
    base *= base;
  }
  return power;
}

double ExactPower(double base, double exponent) {
  constexpr double kWholeMax = 0x1p53;
  if (exponent <= kWholeMax && exponent == std::floor(exponent)) {
    return ExactPower(base, static_cast<int64_t>(exponent));
  }
  return base == 0.0 ? 0.0 : ExactExp(exponent * ExactLog(base));
}

double InverseNormal(double p) {
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * Evaluate(kMiddleA, r) / Evaluate(kMiddleB, r);
  }
  double r = std::sqrt(-ExactLog(q < 0 ? p : 1.0 - p));
  double value = 0.0;
  if (r <= 5.0) {
    r -= 1.6;
    value = Evaluate(kNearA, r) / Evaluate(kNearB, r);
  } else {
    r -= 5.0;
    value = Evaluate(kFarA, r) / Evaluate(kFarB, r);
  }
  return q < 0 ? -value : value;
}

}  // namespace drover
