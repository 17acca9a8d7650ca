#ifdef PREFIX_PYTHON
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define PREFIX_API static __attribute__((unused))
#else
#define PREFIX_API
#endif
#ifndef TN_PRELUDE
#define TN_PRELUDE
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One instruction where x86 has it: min and max give their second argument where either is not a number. */
#ifdef __AVX512F__
#include <immintrin.h>
#define clamp16(a, low, high) ((v16)_mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), (__m512)(a))))
#define clamp8(a, low, high) ((v8)_mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), (__m256)(a))))
#define clamp4(a, low, high) ((v4)_mm_min_ps(_mm_set1_ps(high), _mm_max_ps(_mm_set1_ps(low), (__m128)(a))))
#define relu16(a) ((v16)_mm512_max_ps(_mm512_setzero_ps(), (__m512)(a)))
#define relu8(a) ((v8)_mm256_max_ps(_mm256_setzero_ps(), (__m256)(a)))
#define relu4(a) ((v4)_mm_max_ps(_mm_setzero_ps(), (__m128)(a)))
#else
#define clamp16 between16
#define clamp8 between8
#define clamp4 between4
#define relu16 positive16
#define relu8 positive8
#define relu4 positive4
#endif
/* Vectors of 4, 8 and 16 floats (GCC and Clang extensions; the compiler splits those that the CPU has not). */
#define TN_VECTOR(N) \
  typedef float v##N __attribute__((vector_size(4 * N), may_alias, aligned(4))); \
  typedef int32_t i##N __attribute__((vector_size(4 * N), may_alias, aligned(4))); \
  static inline v##N pick##N(i##N m, v##N a, v##N b) { return (v##N)((m & (i##N)a) | (~m & (i##N)b)); } \
  static inline v##N all##N(float a) { return a - (v##N){0}; } \
  /* A number that is not one stays what it is: comparisons are written so that they let it through. */ \
  static inline v##N positive##N(v##N a) { return (v##N)(~(i##N)(a < 0) & (i##N)a); } \
  static inline v##N leaky_relu##N(v##N a) { return pick##N(a < 0, a * 0.01f, a); } \
  static inline v##N larger##N(v##N a, v##N b) { return pick##N((a < b) | (b != b), b, a); } \
  static inline v##N between##N(v##N a, float low, float high) \
    { a = pick##N(a < low, all##N(low), a); return pick##N(a > high, all##N(high), a); } \
  static inline v##N floor##N(v##N a) \
    { v##N t = __builtin_convertvector(__builtin_convertvector(a, i##N), v##N); return t + pick##N(t > a, all##N(-1.0f), all##N(0.0f)); } \
  /* z P(z^2) / Q(z^2): minimax by Lawson's weights (1961); tanh within 3e-7 over all floats, gelu within 7e-7 (torch: 1.1e-6). */ \
  static inline v##N tanh##N(v##N a) { \
    a = clamp##N(a, -9.0f, 9.0f); v##N u = a * a; \
    v##N w = u * u, p = (1.36808306e-01f * u + 1.0f) + w * ((2.80306413e-05f * u + 3.86947533e-03f) + w * (-1.22450392e-11f * u + 3.06409014e-08f)); \
    v##N q = (4.70141619e-01f * u + 1.0f) + w * (1.28898807e-06f * w + (3.94065544e-04f * u + 2.72500366e-02f)); \
    return a * p / q; } \
  static inline v##N erf##N(v##N z) { \
    v##N a = clamp##N(z, -3.9f, 3.9f), u = a * a; \
    v##N w = u * u, p = (1.89657867e-01f * u + 1.12837911f) + w * ((3.73792229e-03f * u + 5.26667424e-02f) + w * (2.06645655e-06f * u + 2.85046233e-04f)); \
    v##N q = (5.0141269e-01f * u + 1.0f) + w * ((1.49134295e-02f * u + 1.13815114e-01f) + w * (3.82690159e-05f * u + 1.15726166e-03f)); \
    a = pick##N(z >= 3.9f, all##N(1.0f), a * p / q); \
    return pick##N(z <= -3.9f, all##N(-1.0f), a); } \
  static inline v##N sigmoid##N(v##N a) { return 0.5f * tanh##N(0.5f * a) + 0.5f; } \
  static inline v##N gelu##N(v##N a) { return 0.5f * a * (erf##N(a * 0.707106781f) + 1.0f); } \
  /* 2^n e^r with |r| <= ln(2) / 2 and Taylor's sum to r^7, for a <= 0 (softmax). */ \
  static inline v##N exp##N(v##N a) { \
    a = clamp##N(a, -87.0f, 0.0f); v##N n = floor##N(a * 1.44269504f + 0.5f); v##N r = a - n * 0.693145752f - n * 1.42860677e-06f; \
    v##N p = ((((((1.98412698e-4f * r + 1.38888889e-3f) * r + 8.33333333e-3f) * r + 4.16666667e-2f) * r + 1.66666667e-1f) * r + 0.5f) * r + 1.0f) * r + 1.0f; \
    return p * (v##N)((__builtin_convertvector(n, i##N) + 127) << 23); } \
  /* To the nearest fixed-point number, halves up, exactly: the fraction is compared, never rounded. */ \
  static inline v##N quantise##N(v##N a, float scale, float step, float low, float high) { \
    v##N y = clamp##N(a * scale, low - 1.0f, high + 1.0f), f = floor##N(y); \
    f = clamp##N(f + pick##N(y - f >= 0.5f, all##N(1.0f), all##N(0.0f)), low, high) * step; \
    return pick##N(a != a, a, f); }
TN_VECTOR(4)
TN_VECTOR(8)
TN_VECTOR(16)
static inline float sum4(v4 a) { return (a[0] + a[1]) + (a[2] + a[3]); }
static inline float sum8(v8 a) { union { v8 v; v4 h[2]; } u = {a}; return sum4(u.h[0] + u.h[1]); }
static inline float sum16(v16 a) { union { v16 v; v8 h[2]; } u = {a}; return sum8(u.h[0] + u.h[1]); }
static inline float largest16(v16 a) { float m = a[0]; for (int i = 1; i < 16; i++) m = a[i] > m ? a[i] : m; return m; }

/* 0 where all are finite, NaN otherwise: x - x. */
static inline float not_finite(const float *x, int n) {
  v16 s = {0}; float t = 0; int i = 0;
  for (; i + 16 <= n; i += 16) { v16 a = *(const v16 *)(x + i); s += a - a; }
  for (; i < n; i++) t += x[i] - x[i];
  return sum16(s) + t;
}
#endif
