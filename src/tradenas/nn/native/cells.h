/* A network of cells whose mixed ops merge: weights of the ops to kernels, rows to signals, and all of it backwards.

   Values are (segments, rows, channels padded to 16), the last rows of a batch that scored ones hang on.  Each is the sum
   of the links that enter it, then perhaps a norm, an activation and a mask:

     CONV     a kernel of several lags, summed from the ops of an edge by their weights (`terms`); a dense map is one lag
     TAPS     each channel by its own taps, a parameter: the filters of the inputs
     FIXED    all channels by the same taps, which nobody learns: averages longer than any kernel
     MAX      the largest of some rows
     SHARE    another value times one of the mixture's weights
     OUTSIDE  columns of a table

   Lags of a kernel stand in runs of equal steps, so that one product serves a run. */
enum { CONV, TAPS, FIXED, MAX, SHARE, OUTSIDE };
enum { KERNEL, SEPARABLE, DIAGONAL };
enum { NO_NORM, LAYER_NORM, BATCH_NORM };
enum { OF_WEIGHTS = 1, OF_ALPHAS = 2 };
#define EPSILON 1e-5f

typedef struct {
    int64_t rows, channels, u, y, g, bias, stat; /* floats from the start of the arena: before and after the norm, ... */
    int64_t norm, act, gain, shift, mask;        /* parameters, -1 for none */
    int64_t first, links, flows;                 /* what enters it; 0: no gradient, 1: for weights, 2: for alphas too */
    int64_t head, sums;                          /* parameter of the head that reads it; whether its channels are a signal */
} value_t;

typedef struct {
    int64_t kind, from, to;
    int64_t kernel, back, taps, runs, num;       /* CONV: where it stands, and transposed; its lags, in runs */
    int64_t alpha, param, stride, fixed, learns; /* learns: that it hangs on a weight of the mixture */
} link_t;

typedef struct {
    int64_t kind, link, alpha;                   /* -1: weighs 1 */
    int64_t w, begins, so, si, w2, s2, bias;     /* parameters and the strides of outputs and inputs */
    int64_t lags, taps, fixed;                   /* where each tap goes; of DIAGONAL the taps */
} term_t;

typedef struct {
    int64_t values, links, terms, segments, scored, chunk, head_bias, kernels, kernel_floats, back_floats, grad_floats;
    int64_t rows_outside, stride_outside, segment_outside;
} sizes_t;

typedef struct {
    const sizes_t *n;
    const value_t *values;
    const link_t *links;
    const term_t *terms;
    const int64_t *list;
    const float *fixed;
    const float *const *params;
    const float *outside;
    float *arena;
} net_t;

static inline float total(v16 x) {
    float s[16];
    STORE(s, x);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) s[i] += s[i + n];
    return s[0];
}
static const float ONES[V] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static inline v16 some(const float *p, int64_t n) { /* the first n of 16, zeros behind */
    v16 x = {0};
    if (n >= V) return LOAD(p);
    for (int64_t i = 0; i < n; i++) x[i] = p[i];
    return x;
}

#define FLOWS(v) ((v)->flows > !(want & OF_WEIGHTS))

/* --- kernels ------------------------------------------------------------------------------------------------------ */

/* What kernels are products of: the mixture's weights, the ops' own, those of depthwise parts.  Of a derivative, which is
   a sum of such products, each has one of the three replaced by its change; NONE of a base product. */
enum { NONE, ALPHA, WEIGHT, DEPTH };
typedef struct {
    const float *const *alphas, *const *weights, *const *depths;
    int changed;
} factors_t;

static int taken(const term_t *m, int changed) {
    return !((changed == ALPHA && m->alpha < 0) || (changed == WEIGHT && m->kind == DIAGONAL) ||
             (changed == DEPTH && m->kind != SEPARABLE));
}
static float weight_of(const factors_t *f, const term_t *m) { return m->alpha < 0 ? 1.0f : f->alphas[0][m->alpha]; }

static void merge(const net_t *t, float *arena, const factors_t *f) {
    for (const term_t *m = t->terms; m < t->terms + t->n->terms; m++) {
        if (!taken(m, f->changed)) continue;
        const link_t *k = t->links + m->link;
        const value_t *to = t->values + k->to;
        int64_t in = t->values[k->from].channels, out = to->channels, op = tn_pad(out);
        const int64_t *at = t->list + m->lags;
        float *kernel = arena + k->kernel, a = weight_of(f, m);
        if (m->kind == DIAGONAL) {
            for (int64_t l = 0; l < m->taps; l++)
                for (int64_t c = 0; c < out; c++) kernel[(at[l] * in + c) * op + c] += a * t->fixed[m->fixed + l];
            continue;
        }
        const float *w = f->weights[m->w] + m->begins;
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++) {
                const float *from = w + o * m->so + i * m->si;
                if (m->kind == KERNEL)
                    for (int64_t l = 0; l < m->taps; l++) kernel[(at[l] * in + i) * op + o] += a * from[l];
                else {
                    const float *depth = f->depths[m->w2] + i * m->s2;
                    for (int64_t l = 0; l < m->taps; l++) kernel[(at[l] * in + i) * op + o] += a * *from * depth[l];
                }
            }
        if (m->bias >= 0 && f->changed != DEPTH)
            for (int64_t o = 0; o < out; o++) arena[to->bias + o] += a * f->weights[m->bias][o];
    }
}

/* Of each kernel (taps, inputs, outputs) to (taps, outputs, inputs). */
static void turn(const net_t *t, const float *arena, float *back, int64_t want) {
    memset(back, 0, sizeof(float) * t->n->back_floats);
    for (const link_t *k = t->links; k < t->links + t->n->links; k++) {
        if (k->kind != CONV || !FLOWS(t->values + k->from)) continue;
        int64_t in = t->values[k->from].channels, out = t->values[k->to].channels, ip = tn_pad(in), op = tn_pad(out);
        for (int64_t l = 0; l < k->taps; l++)
            for (int64_t i = 0; i < in; i++) {
                const float *from = arena + k->kernel + (l * in + i) * op;
                float *to = back + k->back + l * out * ip + i;
                for (int64_t o = 0; o < out; o++) to[o * ip] = from[o];
            }
    }
}

/* From the gradients of kernels, which stand as the kernels do, to those of weights and of the mixture. */
static void unmerge(const net_t *t, const float *gk, float *const *grads, const factors_t *f, int64_t want) {
    int of_weight = want & OF_WEIGHTS && f->changed != WEIGHT, of_depth = want & OF_WEIGHTS && f->changed != DEPTH;
    int of_bias = of_weight && f->changed != DEPTH, of_alpha = want & OF_ALPHAS && f->changed != ALPHA;
    for (const term_t *m = t->terms; m < t->terms + t->n->terms; m++) {
        if (!taken(m, f->changed)) continue;
        const link_t *k = t->links + m->link;
        const value_t *to = t->values + k->to;
        int64_t in = t->values[k->from].channels, out = to->channels, op = tn_pad(out);
        const int64_t *at = t->list + m->lags;
        const float *g = gk + (k->kernel - t->n->kernels), *gb = gk + (to->bias - t->n->kernels);
        float a = weight_of(f, m), sum = 0;
        if (m->kind == DIAGONAL) {
            for (int64_t l = 0; l < m->taps; l++)
                for (int64_t c = 0; c < out; c++) sum += g[(at[l] * in + c) * op + c] * t->fixed[m->fixed + l];
        } else if (of_weight || of_depth || m->alpha >= 0) {
            const float *w = f->weights[m->w] + m->begins;
            float *gw = of_weight ? grads[m->w] + m->begins : 0, *g2 = of_depth && m->w2 >= 0 ? grads[m->w2] : 0;
            for (int64_t o = 0; o < out; o++)
                for (int64_t i = 0; i < in; i++) {
                    const float *from = w + o * m->so + i * m->si, *gi = g + i * op + o;
                    float *into = gw ? gw + o * m->so + i * m->si : 0;
                    if (m->kind == KERNEL)
                        for (int64_t l = 0; l < m->taps; l++) {
                            float d = gi[at[l] * in * op];
                            sum += d * from[l];
                            if (into) into[l] += a * d;
                        }
                    else {
                        const float *depth = f->depths[m->w2] + i * m->s2;
                        float own = 0;
                        for (int64_t l = 0; l < m->taps; l++) {
                            float d = gi[at[l] * in * op];
                            own += d * depth[l];
                            if (g2) g2[i * m->s2 + l] += a * d * *from;
                        }
                        sum += own * *from;
                        if (into) *into += a * own;
                    }
                }
            if (m->bias >= 0 && f->changed != DEPTH)
                for (int64_t o = 0; o < out; o++) {
                    sum += gb[o] * f->weights[m->bias][o];
                    if (of_bias) grads[m->bias][o] += a * gb[o];
                }
        }
        if (m->alpha >= 0 && of_alpha) grads[0][m->alpha] += sum;
    }
}
