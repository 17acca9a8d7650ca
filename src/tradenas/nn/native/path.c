/* One path of a chain of layers, forward and backward, as a list of steps over an arena of values.

   A value is (segments, rows, channels), rows padded to a multiple of 16 channels; a step reads one or two values and
   writes one.  Rows in front that nothing later hangs on are not there.  Segments go through all steps a block at a time,
   so that what one step writes is in the cache when the next one reads it; each block has a part of the arena.  Several
   networks of one shape come one after the other, with weights `wn` floats behind those of the one before.  Gradients of
   values have one arena for all blocks, in turns.  Weights are packed once for each network, and their gradients are
   unpacked once. */
enum { COLUMNS, TAPS, CONV, BEND, GATE, CARRY, LAYER_NORM, CONCAT, MAX, HEAD };

typedef struct {
    int64_t kind, which;                    /* which: activation, 1 where y is added to */
    int64_t x, xg, xs, channels;            /* first float, segment stride, row stride, channels that are real */
    int64_t y, yg, ys, outputs, rows;
    int64_t taps, step;
    int64_t w, wo, wc, wk, wn, bias, bn;    /* weights: address, strides of output, channel, tap, network */
    int64_t z, zg, zs;                      /* a second value that is read */
    int64_t outside, og, os;                /* an address outside of the arena, its strides */
    int64_t flows, pack, rate;              /* channels of x whose gradient is wanted, the last ones; where weights are
                                               packed; bits of a dropout */
} step_t;

typedef struct {
    int64_t gw, gwn, gb, gbn;               /* where gradients of weights go, and their strides from network to network */
} grad_t;

/* The segments of one network that go through a step: how many, which of all is the first, of which network. */
typedef struct {
    int64_t many, first, network;
} block_t;

#define EPSILON 1e-5f

static const float *weights_of(const step_t *s, int64_t n) { return (const float *)s->w + n * s->wn; }
static const float *bias_of(const step_t *s, int64_t n) { return s->bias ? (const float *)s->bias + n * s->bn : 0; }

static int64_t packed(const step_t *s) { return s->taps * s->channels * tn_pad(s->outputs); }

/* Weights as the forward kernels read them: (taps, channels, outputs padded) and the bias padded, or (taps, channels). */
static void pack(const step_t *s, int64_t n, float *to) {
    int64_t op = tn_pad(s->outputs), cp = tn_pad(s->channels);
    const float *w = weights_of(s, n), *b = bias_of(s, n);
    switch (s->kind) {
    case CONV:
        memset(to, 0, sizeof(float) * (packed(s) + op));
        for (int64_t k = 0; k < s->taps; k++)
            for (int64_t c = 0; c < s->channels; c++)
                for (int64_t o = 0; o < s->outputs; o++)
                    to[(k * s->channels + c) * op + o] = w[o * s->wo + c * s->wc + k * s->wk];
        if (b) memcpy(to + packed(s), b, sizeof(float) * s->outputs);
        break;
    case TAPS:
        memset(to, 0, sizeof(float) * s->taps * cp);
        for (int64_t k = 0; k < s->taps; k++)
            for (int64_t c = 0; c < s->channels; c++) to[k * cp + c] = w[c * s->wc + k * s->wk];
        break;
    case LAYER_NORM:
        memset(to, 0, sizeof(float) * 2 * cp);
        memcpy(to, w, sizeof(float) * s->channels);
        memcpy(to + cp, b, sizeof(float) * s->channels);
        break;
    case HEAD:
        memset(to, 0, sizeof(float) * cp);
        memcpy(to, w, sizeof(float) * s->channels);
        break;
    }
}

/* Backward: zeros for the gradients in the order of `pack`, then, of products, (taps, outputs, channels padded) of those
   channels whose gradient is wanted. */
static void pack_back(const step_t *s, int64_t n, float *to) {
    int64_t cp = tn_pad(s->channels), op = tn_pad(s->outputs), fp = tn_pad(s->flows), skip = s->channels - s->flows;
    const float *w = weights_of(s, n);
    switch (s->kind) {
    case CONV:
        memset(to, 0, sizeof(float) * (packed(s) + op + s->taps * s->outputs * fp));
        to += packed(s) + op;
        for (int64_t k = 0; k < s->taps; k++)
            for (int64_t o = 0; o < s->outputs; o++)
                for (int64_t c = 0; c < s->flows; c++)
                    to[(k * s->outputs + o) * fp + c] = w[o * s->wo + (skip + c) * s->wc + k * s->wk];
        break;
    case TAPS:
        memset(to, 0, sizeof(float) * s->taps * cp);
        pack(s, n, to + s->taps * cp);
        break;
    case HEAD:
        memset(to, 0, sizeof(float) * (cp + V));
        pack(s, n, to + cp + V);
        break;
    }
}

static void unpack(const step_t *s, const float *from, float *gw, float *gb) {
    int64_t cp = tn_pad(s->channels), op = tn_pad(s->outputs);
    switch (s->kind) {
    case CONV:
        if (gw)
            for (int64_t o = 0; o < s->outputs; o++)
                for (int64_t c = 0; c < s->channels; c++)
                    for (int64_t k = 0; k < s->taps; k++)
                        gw[o * s->wo + c * s->wc + k * s->wk] += from[(k * s->channels + c) * op + o];
        if (gb)
            for (int64_t o = 0; o < s->outputs; o++) gb[o] += from[packed(s) + o];
        break;
    case TAPS:
        if (gw)
            for (int64_t k = 0; k < s->taps; k++)
                for (int64_t c = 0; c < s->channels; c++) gw[c * s->wc + k * s->wk] += from[k * cp + c];
        break;
    case HEAD:
        for (int64_t c = 0; c < s->channels; c++) gw[c] += from[c];
        *gb += from[cp];
        break;
    }
}

/* What a segment's channels are multiplied by: a draw below the rate drops a channel, and nothing drawn drops none. */
static const float *factors(const step_t *s, const block_t *block, int64_t b, int64_t segments, float *to) {
    int32_t bits = (int32_t)s->rate;
    float rate;
    memcpy(&rate, &bits, sizeof rate);
    int64_t segment = block->network * segments + block->first + b;
    const float *draw = (const float *)s->outside + segment * s->channels, kept = 1.0f / (1.0f - rate);
    memset(to, 0, sizeof(float) * tn_pad(s->channels));
    for (int64_t c = 0; c < s->channels; c++) to[c] = !s->outside ? 1.0f : draw[c] >= rate ? kept : 0.0f;
    return to;
}

#define EACH_ROW for (int64_t b = 0; b < block->many; b++) for (int64_t t = 0; t < s->rows; t++)
#define AT(base, v) ((base) + s->v + b * s->v##g + t * s->v##s)
#define WIDEST 4096

static void forward_layer_norm(const step_t *s, const block_t *block, float *arena, const float *gain) {
    int64_t cp = tn_pad(s->channels);
    const float *shift = gain + cp;
    EACH_ROW {
        const float *x = AT(arena, x);
        float *y = AT(arena, y), mean = 0, square = 0;
        for (int64_t c = 0; c < s->channels; c++) mean += x[c];
        mean /= s->channels;
        for (int64_t c = 0; c < s->channels; c++) square += (x[c] - mean) * (x[c] - mean);
        float scale = 1.0f / sqrtf(square / s->channels + EPSILON);
        for (int64_t c = 0; c < cp; c++) y[c] = (x[c] - mean) * scale * gain[c] + shift[c];
    }
}

static void backward_layer_norm(const step_t *s, const block_t *block, const float *arena, float *grads, float *g_gain,
                                float *g_shift) {
    const float *gain = weights_of(s, block->network);
    EACH_ROW {
        const float *x = AT(arena, x), *d = AT(grads, y);
        float *dx = AT(grads, x), mean = 0, square = 0, sum = 0, with = 0;
        for (int64_t c = 0; c < s->channels; c++) mean += x[c];
        mean /= s->channels;
        for (int64_t c = 0; c < s->channels; c++) square += (x[c] - mean) * (x[c] - mean);
        float scale = 1.0f / sqrtf(square / s->channels + EPSILON);
        for (int64_t c = 0; c < s->channels; c++) {
            float z = (x[c] - mean) * scale, e = d[c] * gain[c];
            g_gain[c] += d[c] * z;
            g_shift[c] += d[c];
            sum += e;
            with += e * z;
        }
        sum /= s->channels;
        with /= s->channels;
        for (int64_t c = 0; c < s->channels; c++) dx[c] += scale * (d[c] * gain[c] - sum - (x[c] - mean) * scale * with);
    }
}

/* Activation, then dropout; each as one loop for its kind. */
#define FOR_KINDS(ONE) ONE(TN_RELU) ONE(TN_GELU) ONE(TN_TANH) ONE(TN_SIGMOID) ONE(TN_LEAKY) ONE(TN_NONE)
static void forward_bend(const step_t *s, const block_t *block, int64_t segments, float *arena) {
    int64_t cp = tn_pad(s->channels);
    float room[WIDEST];
    for (int64_t b = 0; b < block->many; b++) {
        const float *factor = factors(s, block, b, segments, room);
        switch (s->which) {
#define ONE(KIND)                                                                                                      \
    case KIND:                                                                                                         \
        for (int64_t t = 0; t < s->rows; t++)                                                                          \
            for (int64_t c = 0; c < cp; c += V)                                                                        \
                STORE(AT(arena, y) + c, tn_activation(KIND, LOAD(AT(arena, x) + c)) * LOAD(factor + c));               \
        break;
            FOR_KINDS(ONE)
#undef ONE
        }
    }
}

/* Where y stands in the place of x, the slope is told by y, and the gradient takes its place too. */
static void backward_bend(const step_t *s, const block_t *block, int64_t segments, const float *arena, float *grads) {
    int64_t cp = tn_pad(s->channels), same = s->x == s->y;
    float room[WIDEST];
    for (int64_t b = 0; b < block->many; b++) {
        const float *factor = factors(s, block, b, segments, room);
        switch (s->which) {
#define ONE(KIND)                                                                                                      \
    case KIND:                                                                                                         \
        for (int64_t t = 0; t < s->rows; t++) {                                                                        \
            const float *x = AT(arena, x), *d = AT(grads, y);                                                          \
            float *dx = AT(grads, x);                                                                                  \
            if (same)                                                                                                  \
                for (int64_t c = 0; c < cp; c += V)                                                                    \
                    STORE(dx + c, LOAD(d + c) * LOAD(factor + c) * tn_slope_of(KIND, LOAD(x + c)));                    \
            else                                                                                                       \
                for (int64_t c = 0; c < cp; c += V)                                                                    \
                    STORE(dx + c, LOAD(dx + c) + LOAD(d + c) * LOAD(factor + c) * tn_slope(KIND, LOAD(x + c)));        \
        }                                                                                                              \
        break;
            FOR_KINDS(ONE)
#undef ONE
        }
    }
}

static void forward_step(const step_t *s, const block_t *block, int64_t segments, float *arena, const float *weights,
                         float *signal) {
    int64_t cp = tn_pad(s->channels), op = tn_pad(s->outputs);
    switch (s->kind) {
    case COLUMNS: { /* of a table outside; `w` is a factor for each column, or nothing */
        const float *from = (const float *)s->outside + block->network * s->wn + block->first * s->og;
        const float *factor = (const float *)s->w;
        EACH_ROW {
            const float *x = from + b * s->og + t * s->os;
            float *y = AT(arena, y);
            if (factor)
                for (int64_t c = 0; c < s->channels; c++) y[c] = x[c] * factor[c];
            else
                for (int64_t c = 0; c < s->channels; c++) y[c] = x[c];
            for (int64_t c = s->channels; c < cp; c++) y[c] = 0;
        }
        break;
    }
    case TAPS:
        for (int64_t b = 0; b < block->many; b++)
            tn_taps(arena + s->x + b * s->xg, s->xs, s->taps, s->step, s->channels, weights, cp,
                    arena + s->y + b * s->yg, s->ys, s->rows, 0);
        break;
    case CONV:
        for (int64_t b = 0; b < block->many; b++)
            tn_product(arena + s->x + b * s->xg, s->xs, s->taps, s->step, s->channels, weights, op, s->outputs,
                       weights + packed(s), arena + s->y + b * s->yg, s->ys, s->rows, 0);
        break;
    case BEND: forward_bend(s, block, segments, arena); break;
    case GATE:
        EACH_ROW {
            const float *x = AT(arena, x), *z = AT(arena, z);
            float *y = AT(arena, y);
            for (int64_t c = 0; c < cp; c += V) STORE(y + c, LOAD(x + c) * tn_sigmoid(LOAD(z + c)));
        }
        break;
    case CARRY: { /* the first channels as they are, zeros behind them; or added to what is there */
        int64_t both = s->channels < s->outputs ? s->channels : s->outputs;
        EACH_ROW {
            const float *x = AT(arena, x);
            float *y = AT(arena, y);
            if (s->which)
                for (int64_t c = 0; c < both; c++) y[c] += x[c];
            else {
                for (int64_t c = 0; c < both; c++) y[c] = x[c];
                for (int64_t c = both; c < op; c++) y[c] = 0;
            }
        }
        break;
    }
    case LAYER_NORM: forward_layer_norm(s, block, arena, weights); break;
    case CONCAT:
        EACH_ROW {
            const float *x = AT(arena, x), *z = AT(arena, z);
            float *y = AT(arena, y);
            for (int64_t c = 0; c < s->channels; c++) y[c] = x[c];
            for (int64_t c = s->channels; c < s->outputs; c++) y[c] = z[c - s->channels];
            for (int64_t c = s->outputs; c < op; c++) y[c] = 0;
        }
        break;
    case MAX:
        EACH_ROW {
            const float *x = AT(arena, x);
            float *y = AT(arena, y);
            for (int64_t c = 0; c < cp; c += V) {
                v16 most = LOAD(x + c);
                for (int64_t k = 1; k < s->taps; k++) {
                    v16 next = LOAD(x + k * s->xs + c);
                    most = tn_where((next <= most) | (most != most), most, next);
                }
                STORE(y + c, most);
            }
        }
        break;
    case HEAD: { /* w x + b + the sum of the filters (z) */
        const float bias = *bias_of(s, block->network);
        EACH_ROW {
            const float *x = AT(arena, x), *z = AT(arena, z);
            v16 sum = {0};
            for (int64_t c = 0; c < cp; c += V) sum += LOAD(x + c) * LOAD(weights + c);
            for (int64_t c = 0; c < s->zs; c += V) sum += LOAD(z + c);
            float told = bias;
            for (int i = 0; i < V; i++) told += sum[i];
            signal[b * s->rows + t] = told;
        }
        break;
    }
    }
}

static void backward_step(const step_t *s, const block_t *block, int64_t segments, const float *arena, float *grads,
                          float *weights, const float *g_signal, const grad_t *g) {
    int64_t cp = tn_pad(s->channels), op = tn_pad(s->outputs);
    switch (s->kind) {
    case TAPS:
        if (g->gw)
            for (int64_t b = 0; b < block->many; b++)
                tn_untaps(arena + s->x + b * s->xg, s->xs, s->taps, s->step, s->channels, grads + s->y + b * s->yg,
                          s->ys, weights, cp, s->rows);
        if (s->flows)
            for (int64_t k = 0; k < s->taps; k++)
                for (int64_t b = 0; b < block->many; b++)
                    tn_taps(grads + s->y + b * s->yg, s->ys, 1, 0, s->channels, weights + (s->taps + k) * cp, cp,
                            grads + s->x + b * s->xg + k * s->step * s->xs, s->xs, s->rows, 1);
        break;
    case CONV: {
        int64_t fp = tn_pad(s->flows), skip = s->channels - s->flows;
        float *bias = weights + packed(s), *back = bias + op;
        for (int64_t b = 0; b < block->many; b++) {
            const float *d = grads + s->y + b * s->yg;
            for (int64_t o = 0; o < op; o += V) {
                v16 sum = LOAD(bias + o);
                for (int64_t t = 0; t < s->rows; t++) sum += LOAD(d + t * s->ys + o);
                STORE(bias + o, sum);
            }
            tn_outer(arena + s->x + b * s->xg, s->xs, s->taps, s->step, s->channels, d, s->ys, s->outputs, weights, op,
                     s->rows);
            for (int64_t k = 0; s->flows && k < s->taps; k++)
                tn_product(d, s->ys, 1, 0, s->outputs, back + k * s->outputs * fp, fp, s->flows, 0,
                           grads + s->x + skip + b * s->xg + k * s->step * s->xs, s->xs, s->rows, 1);
        }
        break;
    }
    case BEND: backward_bend(s, block, segments, arena, grads); break;
    case GATE:
        EACH_ROW {
            const float *x = AT(arena, x), *z = AT(arena, z), *d = AT(grads, y);
            float *dx = AT(grads, x), *dz = AT(grads, z);
            for (int64_t c = 0; c < cp; c += V) {
                v16 open = tn_sigmoid(LOAD(z + c)), out = LOAD(d + c);
                STORE(dx + c, LOAD(dx + c) + out * open);
                STORE(dz + c, LOAD(dz + c) + out * LOAD(x + c) * open * (1.0f - open));
            }
        }
        break;
    case CARRY: {
        int64_t both = s->channels < s->outputs ? s->channels : s->outputs;
        EACH_ROW {
            const float *d = AT(grads, y);
            float *dx = AT(grads, x);
            for (int64_t c = 0; c < both; c++) dx[c] += d[c];
        }
        break;
    }
    case LAYER_NORM: {
        float *gain = (float *)g->gw + block->network * g->gwn, *shift = (float *)g->gb + block->network * g->gbn;
        backward_layer_norm(s, block, arena, grads, gain, shift);
        break;
    }
    case CONCAT: /* only the filters have weights in front of them */
        EACH_ROW {
            const float *d = AT(grads, y);
            float *dz = AT(grads, z);
            for (int64_t c = s->channels; c < s->outputs; c++) dz[c - s->channels] += d[c];
        }
        break;
    case MAX: /* shared evenly where several are the largest */
        EACH_ROW {
            const float *x = AT(arena, x), *y = AT(arena, y), *d = AT(grads, y);
            float *dx = AT(grads, x);
            for (int64_t c = 0; c < s->channels; c++) {
                int largest = 0;
                for (int64_t k = 0; k < s->taps; k++) largest += x[k * s->xs + c] == y[c];
                for (int64_t k = 0; k < s->taps; k++)
                    if (x[k * s->xs + c] == y[c]) dx[k * s->xs + c] += d[c] / largest;
            }
        }
        break;
    case HEAD: {
        const float *w = weights + cp + V;
        EACH_ROW {
            const float *x = AT(arena, x);
            float *dx = AT(grads, x), *dz = AT(grads, z), d = g_signal[b * s->rows + t];
            for (int64_t c = 0; c < cp; c += V) {
                STORE(dx + c, LOAD(dx + c) + d * LOAD(w + c));
                STORE(weights + c, LOAD(weights + c) + d * LOAD(x + c));
            }
            for (int64_t c = 0; c < s->zs; c += V) STORE(dz + c, LOAD(dz + c) + tn_all(d));
            weights[cp] += d;
        }
        break;
    }
    }
}

#define EACH_BLOCK                                                                                                     \
    for (block_t block = {0, 0, n}, *at = &block; at->first < segments; at->first += many)                             \
        if ((at->many = segments - at->first < many ? segments - at->first : many) > 0)

/* `arena` has `size` floats for each block of each network, `many` segments in a block; `spare` holds packed weights. */
void tn_forward(const step_t *steps, int64_t count, int64_t networks, int64_t segments, int64_t many, float *arena,
                int64_t size, float *spare, float *signal, int64_t rows) {
    for (int64_t n = 0; n < networks; n++) {
        for (int64_t i = 0; i < count; i++) pack(steps + i, n, spare + steps[i].pack);
        EACH_BLOCK {
            for (int64_t i = 0; i < count; i++)
                forward_step(steps + i, at, segments, arena, spare + steps[i].pack,
                             signal + (n * segments + at->first) * rows);
            arena += size;
        }
    }
}

void tn_backward(const step_t *steps, int64_t count, int64_t networks, int64_t segments, int64_t many,
                 const float *arena, int64_t size, float *grads, float *spare, const float *g_signal, int64_t rows,
                 const grad_t *to) {
    for (int64_t n = 0; n < networks; n++) {
        for (int64_t i = 0; i < count; i++) pack_back(steps + i, n, spare + steps[i].pack);
        EACH_BLOCK {
            memset(grads, 0, sizeof(float) * size);
            for (int64_t i = count - 1; i >= 0; i--)
                backward_step(steps + i, at, segments, arena, grads, spare + steps[i].pack,
                              g_signal + (n * segments + at->first) * rows, to + i);
            arena += size;
        }
        for (int64_t i = 0; i < count; i++)
            unpack(steps + i, spare + steps[i].pack, to[i].gw ? (float *)to[i].gw + n * to[i].gwn : 0,
                   to[i].gb ? (float *)to[i].gb + n * to[i].gbn : 0);
    }
}
