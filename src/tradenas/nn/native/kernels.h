/* Kernels of small causal networks in float32: products of rows with packed weights, forward and backward.

   Rows of a value stand below each other, `stride` floats apart, a multiple of 16: channels are padded with zeros, and
   what is written into the padding is zero again.  Vectors are GCC's, 16 floats wide; a narrower CPU takes them in parts.

   tn_product    y[r] (+)= sum_k sum_c x[r + k * step][c] * w[k][c]     a dense layer (k = 1), a causal convolution; with
                 the transposed weights of one tap and `add`, its gradient with respect to the input
   tn_outer      g[k][c] += sum_r x[r + k * step][c] * d[r]             its gradient with respect to the weights
   tn_taps       y[r][c] (+)= sum_k x[r + k * step][c] * w[k][c]        each channel by itself
   tn_untaps     g[k][c] += sum_r x[r + k * step][c] * d[r][c]
*/
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef long tn_int;

#define V 16
#define TN_UNROLL _Pragma("GCC unroll 16")
#define LOAD(p) (*(const v16 *)(p))
#define STORE(p, v) (*(v16 *)(p) = (v))
static inline v16 tn_all(float x) { return x - (v16){0}; }
static inline tn_int tn_pad(tn_int n) { return (n + V - 1) / V * V; }

#if defined(__AVX512F__)
#define TN_TILES(ONE) ONE(14, 1) ONE(12, 2) ONE(8, 3) ONE(6, 4)
static const tn_int TN_ROWS[5] = {0, 14, 12, 8, 6}, TN_OUTER_ROWS[5] = {0, 16, 8, 8, 6}; /* channels come by sixteens */
#define TN_WIDEST 4
#else
#define TN_TILES(ONE) ONE(6, 1) ONE(3, 2)
static const tn_int TN_ROWS[5] = {0, 6, 3, 0, 0}, TN_OUTER_ROWS[5] = {0, 6, 3, 0, 0};
#define TN_WIDEST 2
#endif

/* One tile: so many rows times so many vectors of outputs, in registers from the first channel to the last. */
#define TN_PRODUCT(R, O)                                                                                               \
    static void tn_product_##R##_##O(const float *x, tn_int xs, tn_int taps, tn_int step, tn_int channels,            \
                                     const float *w, tn_int ws, const float *bias, float *y, tn_int ys, int add) {    \
        v16 sum[R][O];                                                                                                 \
        TN_UNROLL for (int r = 0; r < R; r++) TN_UNROLL for (int o = 0; o < O; o++)                                    \
            sum[r][o] = add ? LOAD(y + r * ys + o * V) : bias ? LOAD(bias + o * V) : (v16){0};                         \
        for (tn_int k = 0; k < taps; k++) {                                                                            \
            const float *xk = x + k * step * xs;                                                                       \
            for (tn_int c = 0; c < channels; c++, w += ws) {                                                           \
                v16 weight[O];                                                                                         \
                TN_UNROLL for (int o = 0; o < O; o++) weight[o] = LOAD(w + o * V);                                     \
                TN_UNROLL for (int r = 0; r < R; r++) {                                                                \
                    v16 value = tn_all(xk[r * xs + c]);                                                                \
                    TN_UNROLL for (int o = 0; o < O; o++) sum[r][o] += value * weight[o];                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        TN_UNROLL for (int r = 0; r < R; r++) TN_UNROLL for (int o = 0; o < O; o++) STORE(y + r * ys + o * V, sum[r][o]); \
    }

#define TN_OUTER(R, O)                                                                                                 \
    static void tn_outer_##R##_##O(const float *x, tn_int xs, const float *d, tn_int ds, tn_int rows, float *g,        \
                                   tn_int gs) {                                                                        \
        v16 sum[R][O];                                                                                                 \
        TN_UNROLL for (int r = 0; r < R; r++) TN_UNROLL for (int o = 0; o < O; o++) sum[r][o] = LOAD(g + r * gs + o * V); \
        for (tn_int t = 0; t < rows; t++, x += xs, d += ds) {                                                          \
            v16 out[O];                                                                                                \
            TN_UNROLL for (int o = 0; o < O; o++) out[o] = LOAD(d + o * V);                                            \
            TN_UNROLL for (int r = 0; r < R; r++) {                                                                    \
                v16 value = tn_all(x[r]);                                                                              \
                TN_UNROLL for (int o = 0; o < O; o++) sum[r][o] += value * out[o];                                     \
            }                                                                                                          \
        }                                                                                                              \
        TN_UNROLL for (int r = 0; r < R; r++) TN_UNROLL for (int o = 0; o < O; o++) STORE(g + r * gs + o * V, sum[r][o]); \
    }

#define TN_BOTH(R, O) TN_PRODUCT(R, O) TN_OUTER(R, O)
TN_TILES(TN_BOTH)
#define TN_LAST(O) TN_BOTH(1, O)
TN_LAST(1) TN_LAST(2)
#if TN_WIDEST > 2
TN_LAST(3) TN_LAST(4)
#endif
TN_BOTH(4, 1) TN_BOTH(4, 2)
#if TN_WIDEST > 2
TN_BOTH(4, 3) TN_BOTH(4, 4) TN_OUTER(16, 1) TN_OUTER(8, 2)
#endif
#define TN_WIDTHS(CALL, at) at == 1 ? CALL(1) : at == 2 ? CALL(2) : at == 3 ? CALL(3) : CALL(4)

typedef void (*tn_product_tile)(const float *, tn_int, tn_int, tn_int, tn_int, const float *, tn_int, const float *,
                                float *, tn_int, int);
typedef void (*tn_outer_tile)(const float *, tn_int, const float *, tn_int, tn_int, float *, tn_int);
#if TN_WIDEST > 2
static const tn_product_tile TN_P[5] = {0, tn_product_14_1, tn_product_12_2, tn_product_8_3, tn_product_6_4},
                             TN_P4[5] = {0, tn_product_4_1, tn_product_4_2, tn_product_4_3, tn_product_4_4},
                             TN_P1[5] = {0, tn_product_1_1, tn_product_1_2, tn_product_1_3, tn_product_1_4};
static const tn_outer_tile TN_O[5] = {0, tn_outer_16_1, tn_outer_8_2, tn_outer_8_3, tn_outer_6_4},
                           TN_O4[5] = {0, tn_outer_4_1, tn_outer_4_2, tn_outer_4_3, tn_outer_4_4},
                           TN_O1[5] = {0, tn_outer_1_1, tn_outer_1_2, tn_outer_1_3, tn_outer_1_4};
#else
static const tn_product_tile TN_P[5] = {0, tn_product_6_1, tn_product_3_2}, TN_P4[5] = {0, tn_product_4_1, tn_product_4_2},
                             TN_P1[5] = {0, tn_product_1_1, tn_product_1_2};
static const tn_outer_tile TN_O[5] = {0, tn_outer_6_1, tn_outer_3_2}, TN_O4[5] = {0, tn_outer_4_1, tn_outer_4_2},
                           TN_O1[5] = {0, tn_outer_1_1, tn_outer_1_2};
#endif

/* rows of x are xs apart, taps `step` rows apart; w is (taps, channels, outputs), outputs padded and ws apart. */
static void tn_product(const float *x, tn_int xs, tn_int taps, tn_int step, tn_int channels, const float *w, tn_int ws,
                       tn_int outputs, const float *bias, float *y, tn_int ys, tn_int rows, int add) {
    for (tn_int o = 0; o < outputs;) {
        tn_int wide = (tn_pad(outputs) - o) / V, tile, r = 0;
        wide = wide > TN_WIDEST ? (wide == TN_WIDEST + 1 && TN_WIDEST == 4 ? 3 : TN_WIDEST) : wide;
        tile = TN_ROWS[wide];
        for (; r + tile <= rows; r += tile)
            TN_P[wide](x + r * xs, xs, taps, step, channels, w + o, ws, bias ? bias + o : 0, y + r * ys + o, ys, add);
        for (; r + 4 <= rows; r += 4)
            TN_P4[wide](x + r * xs, xs, taps, step, channels, w + o, ws, bias ? bias + o : 0, y + r * ys + o, ys, add);
        for (; r < rows; r++)
            TN_P1[wide](x + r * xs, xs, taps, step, channels, w + o, ws, bias ? bias + o : 0, y + r * ys + o, ys, add);
        o += wide * V;
    }
}

/* g is (taps, channels, outputs), outputs padded and gs apart; added to. */
static void tn_outer(const float *x, tn_int xs, tn_int taps, tn_int step, tn_int channels, const float *d, tn_int ds,
                     tn_int outputs, float *g, tn_int gs, tn_int rows) {
    const tn_int part = 128; /* rows that stay in the first cache while all tiles read them */
    for (tn_int t = 0; t < rows; t += part) {
        tn_int some = rows - t < part ? rows - t : part;
        for (tn_int k = 0; k < taps; k++)
            for (tn_int o = 0; o < outputs;) {
                tn_int wide = (tn_pad(outputs) - o) / V, tile, c = 0;
                wide = wide > TN_WIDEST ? (wide == TN_WIDEST + 1 && TN_WIDEST == 4 ? 3 : TN_WIDEST) : wide;
                tile = TN_OUTER_ROWS[wide];
                const float *xk = x + (t + k * step) * xs, *dt = d + t * ds + o;
                float *gk = g + k * channels * gs + o;
                for (; c + tile <= channels; c += tile) TN_O[wide](xk + c, xs, dt, ds, some, gk + c * gs, gs);
                for (; c + 4 <= channels; c += 4) TN_O4[wide](xk + c, xs, dt, ds, some, gk + c * gs, gs);
                for (; c < channels; c++) TN_O1[wide](xk + c, xs, dt, ds, some, gk + c * gs, gs);
                o += wide * V;
            }
    }
}

/* w is (taps, channels), channels padded and ws apart. */
static void tn_taps(const float *x, tn_int xs, tn_int taps, tn_int step, tn_int channels, const float *w, tn_int ws,
                    float *y, tn_int ys, tn_int rows, int add) {
    for (tn_int c = 0; c < channels; c += V) {
        tn_int r = 0;
        for (; r + 8 <= rows; r += 8) {
            v16 sum[8];
            const float *xr = x + r * xs + c;
            TN_UNROLL for (int i = 0; i < 8; i++) sum[i] = add ? LOAD(y + (r + i) * ys + c) : (v16){0};
            for (tn_int k = 0; k < taps; k++) {
                v16 weight = LOAD(w + k * ws + c);
                TN_UNROLL for (int i = 0; i < 8; i++) sum[i] += LOAD(xr + (i + k * step) * xs) * weight;
            }
            TN_UNROLL for (int i = 0; i < 8; i++) STORE(y + (r + i) * ys + c, sum[i]);
        }
        for (; r < rows; r++) {
            v16 sum = add ? LOAD(y + r * ys + c) : (v16){0};
            for (tn_int k = 0; k < taps; k++) sum += LOAD(x + (r + k * step) * xs + c) * LOAD(w + k * ws + c);
            STORE(y + r * ys + c, sum);
        }
    }
}

static void tn_untaps(const float *x, tn_int xs, tn_int taps, tn_int step, tn_int channels, const float *d, tn_int ds,
                      float *g, tn_int gs, tn_int rows) {
    for (tn_int c = 0; c < channels; c += V) {
        tn_int k = 0;
        for (; k + 8 <= taps; k += 8) {
            v16 sum[8];
            TN_UNROLL for (int i = 0; i < 8; i++) sum[i] = LOAD(g + (k + i) * gs + c);
            for (tn_int r = 0; r < rows; r++) {
                v16 out = LOAD(d + r * ds + c);
                const float *xr = x + (r + k * step) * xs + c;
                TN_UNROLL for (int i = 0; i < 8; i++) sum[i] += LOAD(xr + i * step * xs) * out;
            }
            TN_UNROLL for (int i = 0; i < 8; i++) STORE(g + (k + i) * gs + c, sum[i]);
        }
        for (; k < taps; k++) {
            v16 sum = LOAD(g + k * gs + c);
            for (tn_int r = 0; r < rows; r++) sum += LOAD(x + (r + k * step) * xs + c) * LOAD(d + r * ds + c);
            STORE(g + k * gs + c, sum);
        }
    }
}

/* Whatever is not a number stays so: networks that diverge have to be noticed. */
static inline v16 tn_where(i16 m, v16 a, v16 b) { return (v16)(((i16)a & m) | ((i16)b & ~m)); }
static inline v16 tn_between(v16 x, float low, float high) {
    x = tn_where(x < low, tn_all(low), x);
    return tn_where(x > high, tn_all(high), x);
}
/* exp within 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes). */
static inline v16 tn_exp(v16 x) {
    x = tn_between(x, -87.3f, 88.3f);
    i16 n = __builtin_convertvector(x * 1.44269504088896341f + (v16)(((i16)(x) & (int32_t)0x80000000) | 0x3f000000), i16);
    v16 whole = __builtin_convertvector(n, v16);
    x -= whole * 0.693359375f;
    x -= whole * -2.12194440e-4f;
    v16 p = 1.9875691500e-4f * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    return (p * x * x + x + 1.0f) * (v16)((n + 127) << 23);
}
static inline v16 tn_sigmoid(v16 x) { return 1.0f / (1.0f + tn_exp(-x)); }
/* Rational approximations within a few units in the last place, as in Eigen and XLA. */
static inline v16 tn_tanh(v16 x) {
    x = tn_between(x, -7.90531110763549805f, 7.90531110763549805f);
    v16 s = x * x, p = -2.76076847742355e-16f * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    v16 q = 1.19825839466702e-06f * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}
static inline v16 tn_erf(v16 x) {
    x = tn_between(x, -4.0f, 4.0f);
    v16 s = x * x, p = -2.72614225801306e-10f * s + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    v16 q = -1.45660718464996e-05f * s - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return x * p / q;
}

enum { TN_RELU, TN_GELU, TN_TANH, TN_SIGMOID, TN_LEAKY, TN_NONE };
#define TN_ROOT_HALF 0.70710678118654752f
#define TN_DENSITY 0.39894228040143268f /* 1 / sqrt(2 pi) */
static inline v16 tn_activation(int kind, v16 x) {
    switch (kind) {
    case TN_RELU: return (v16)((i16)x & ~(x < 0.0f));
    case TN_GELU: return 0.5f * x * (1.0f + tn_erf(x * TN_ROOT_HALF));
    case TN_TANH: return tn_tanh(x);
    case TN_SIGMOID: return tn_sigmoid(x);
    case TN_LEAKY: return tn_where(x < 0.0f, x * 0.01f, x);
    default: return x;
    }
}
/* The derivative, told by what came out; of a GELU it cannot be. */
static inline v16 tn_slope_of(int kind, v16 y) {
    switch (kind) {
    case TN_RELU: return tn_where(y > 0.0f, tn_all(1.0f), tn_all(0.0f));
    case TN_TANH: return 1.0f - y * y;
    case TN_SIGMOID: return y * (1.0f - y);
    case TN_LEAKY: return tn_where(y > 0.0f, tn_all(1.0f), tn_all(0.01f));
    default: return tn_all(1.0f);
    }
}
/* The derivative at x. */
static inline v16 tn_slope(int kind, v16 x) {
    if (kind == TN_GELU)
        return 0.5f * (1.0f + tn_erf(x * TN_ROOT_HALF)) + x * TN_DENSITY * tn_exp(-0.5f * x * x);
    return tn_slope_of(kind, tn_activation(kind, x));
}
