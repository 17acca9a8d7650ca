#ifndef TN_VNNI
#define TN_VNNI
typedef uint8_t b16 __attribute__((vector_size(16), may_alias, aligned(4)));
typedef int32_t word __attribute__((may_alias));
/* a[o] + the sum over j = 0 .. 3 of byte j of x times w[4 o + j]. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#endif
#if defined(__AVX512VNNI__)
static inline i16 dot16(i16 a, int32_t x, const int8_t *w) {
  return (i16)_mm512_dpbusd_epi32((__m512i)a, _mm512_set1_epi32(x), _mm512_loadu_si512(w));
}
#elif defined(__AVXVNNI__)
static inline i16 dot16(i16 a, int32_t x, const int8_t *w) {
  union { i16 v; __m256i h[2]; } u = {a};
  u.h[0] = _mm256_dpbusd_avx_epi32(u.h[0], _mm256_set1_epi32(x), _mm256_loadu_si256((const __m256i *)w));
  u.h[1] = _mm256_dpbusd_avx_epi32(u.h[1], _mm256_set1_epi32(x), _mm256_loadu_si256((const __m256i *)(w + 32)));
  return u.v;
}
#elif defined(TN_PORTABLE)
static inline i16 dot16(i16 a, int32_t x, const int8_t *w) {
  for (int o = 0; o < 16; o++)
    for (int j = 0; j < 4; j++) a[o] += (int32_t)(((uint32_t)x >> 8 * j) & 255) * w[4 * o + j];
  return a;
}
#else
#error "this CPU has no VNNI (AVX512-VNNI or AVX-VNNI): write the file without vnni, or add -DTN_PORTABLE, which is slow"
#endif
#endif
