/* The derivative of gradients along a direction: what a second backward pass asks for.

   With f(p) the signals and g their gradient, a backward pass gives G(p) = J(p)' g.  Along a direction v of the parameters
   the signals change by J v, and G by dG v (forward over reverse, Pearlmutter 1994), which is the gradient of v' G.
   `dot` is an arena like the first with changes in place of values; so are gk, g and back with their changes behind. */

static v16 bend(int kind, v16 x) { /* the second derivative of an activation */
    v16 y;
    switch (kind) {
    case TN_GELU: return (2.0f - x * x) * TN_DENSITY * tn_exp(-0.5f * x * x);
    case TN_TANH: y = tn_tanh(x); return -2.0f * y * (1.0f - y * y);
    case TN_SIGMOID: y = tn_sigmoid(x); return y * (1.0f - y) * (1.0f - 2.0f * y);
    default: return (v16){0};
    }
}

/* Of a batch norm: means over the scored rows of the change, and of the change times what is normed. */
static void moments_along(const net_t *t, const value_t *v, float *dot) {
    int64_t cp = tn_pad(v->channels), scored = t->n->scored;
    float count = (float)(scored * t->n->segments);
    for (int64_t c = 0; c < cp; c += V) {
        v16 mean = LOAD(t->arena + v->stat + c), scale = LOAD(t->arena + v->stat + cp + c), sum = {0}, with = {0};
        for (int64_t b = 0; b < t->n->segments; b++)
            for (int64_t r = v->rows - scored; r < v->rows; r++) {
                v16 du = LOAD(SUMS_IN(dot, v) + r * cp + c);
                sum += du;
                with += du * (LOAD(SUMS_OF(v) + r * cp + c) - mean) * scale;
            }
        STORE(dot + v->stat + c, sum / count);
        STORE(dot + v->stat + cp + c, with / count);
    }
}

/* The change of a maximum: the mean of those that are the largest. */
static void max_along(const net_t *t, const link_t *k, float *dot, int64_t b) {
    const value_t *to = t->values + k->to, *from = t->values + k->from;
    int64_t cp = tn_pad(to->channels), skip = (from->rows - to->rows) * cp;
    const float *x = ROWS_OF(from) + skip, *dx = ROWS_IN(dot, from) + skip, *y = ROWS_OF(to);
    float *dy = SUMS_IN(dot, to);
    for (int64_t i = 0; i < to->rows * cp; i += V) {
        v16 most = LOAD(y + i), many = {0}, sum = {0}, one = tn_all(1.0f), none = {0};
        for (int64_t l = 0; l < k->taps; l++) {
            i16 own = LOAD(x + i - l * cp) == most;
            many += tn_where(own, one, none);
            sum += tn_where(own, LOAD(dx + i - l * cp), none);
        }
        STORE(dy + i, sum / many);
    }
}

/* One vector of a row: what it is before the activation, normed and not scaled, and the changes of both. */
typedef struct {
    v16 x, z, dx, dz, scale, with, gain, dgain;
} place_t;

static inline place_t place(const net_t *t, const value_t *v, const float *dot, const float *const *along, int64_t b,
                            int64_t r, int64_t c) {
    int64_t cp = tn_pad(v->channels), left = v->channels - c;
    v16 u = LOAD(SUMS_OF(v) + r * cp + c), du = LOAD(SUMS_IN(dot, v) + r * cp + c), mean, dmean;
    place_t p = {.x = u, .z = u, .dx = du, .dz = du, .scale = tn_all(1.0f)};
    if (v->norm == LAYER_NORM) {
        int64_t at = v->stat + (b * v->rows + r) * 2;
        mean = tn_all(t->arena[at]), p.scale = tn_all(t->arena[at + 1]), dmean = tn_all(dot[at]), p.with = tn_all(dot[at + 1]);
    } else if (v->norm == BATCH_NORM) {
        mean = LOAD(t->arena + v->stat + c), p.scale = LOAD(t->arena + v->stat + cp + c);
        dmean = LOAD(dot + v->stat + c), p.with = LOAD(dot + v->stat + cp + c);
    } else
        return p;
    p.gain = some(t->params[v->gain] + c, left), p.dgain = some(along[v->gain] + c, left);
    p.z = (u - mean) * p.scale;
    p.dz = (du - dmean - p.z * p.with) * p.scale;
    p.x = p.z * p.gain + some(t->params[v->shift] + c, left);
    p.dx = p.dz * p.gain + p.z * p.dgain + some(along[v->shift] + c, left);
    if (left < V) p.z *= some(ONES, left), p.dz *= some(ONES, left);
    return p;
}

static void settle_along(const net_t *t, const value_t *v, float *dot, const float *const *along, int64_t b) {
    if (v->u == v->y) return;
    int64_t cp = tn_pad(v->channels);
    const float *mask = v->mask < 0 ? 0 : t->params[v->mask] + b * v->channels;
    float inverse = 1.0f / v->channels;
    for (int64_t r = 0; r < v->rows; r++) {
        if (v->norm == LAYER_NORM) {
            int64_t at = v->stat + (b * v->rows + r) * 2;
            v16 mean = tn_all(t->arena[at]), sum = {0}, with = {0};
            for (int64_t c = 0; c < cp; c += V) {
                v16 du = some(SUMS_IN(dot, v) + r * cp + c, v->channels - c);
                sum += du;
                with += du * (LOAD(SUMS_OF(v) + r * cp + c) - mean);
            }
            dot[at] = total(sum) * inverse, dot[at + 1] = total(with) * inverse * t->arena[at + 1];
        }
        for (int64_t c = 0; c < cp; c += V) {
            place_t p = place(t, v, dot, along, b, r, c);
            if (v->act >= 0) p.dx *= tn_slope(v->act, p.x);
            if (mask) p.dx *= some(mask + c, v->channels - c);
            if (v->channels - c < V) p.dx *= some(ONES, v->channels - c);
            STORE(ROWS_IN(dot, v) + r * cp + c, p.dx);
        }
    }
}

/* Gradients and their changes before mask, activation and norm, in place of those behind them. */
static void unsettle_along(const net_t *t, const value_t *v, const float *dot, const float *const *along, float *g,
                           float *dg, int64_t b0, int64_t b1, float *g_gain, float *g_shift) {
    if (v->u == v->y) return;
    int64_t cp = tn_pad(v->channels), scored = t->n->scored;
    float inverse = 1.0f / v->channels, count = (float)(scored * t->n->segments);
    float of_gain[cp], of_shift[cp], sums[4][cp]; /* of q, q z and of their changes, over rows */
    memset(of_gain, 0, sizeof of_gain), memset(of_shift, 0, sizeof of_shift), memset(sums, 0, sizeof sums);
    for (int64_t b = b0; b < b1; b++)
        for (int64_t r = 0; r < v->rows; r++) {
            float *d = GRADS_IN(g, v) + r * cp, *dd = GRADS_IN(dg, v) + r * cp;
            v16 q_sum = {0}, q_with = {0}, dq_sum = {0}, dq_with = {0};
            for (int64_t c = 0; c < cp; c += V) {
                place_t p = place(t, v, dot, along, b, r, c);
                v16 e = LOAD(d + c), de = LOAD(dd + c);
                if (v->mask >= 0) {
                    v16 mask = some(t->params[v->mask] + b * v->channels + c, v->channels - c);
                    e *= mask, de *= mask;
                }
                if (v->act >= 0) {
                    v16 slope = tn_slope(v->act, p.x);
                    de = de * slope + e * bend(v->act, p.x) * p.dx;
                    e *= slope;
                }
                if (v->norm) {
                    STORE(of_shift + c, LOAD(of_shift + c) + de);
                    STORE(of_gain + c, LOAD(of_gain + c) + de * p.z + e * p.dz);
                    de = de * p.gain + e * p.dgain;
                    e *= p.gain;
                    v16 with = e * p.z, dwith = de * p.z + e * p.dz;
                    if (v->norm == LAYER_NORM) q_sum += e, q_with += with, dq_sum += de, dq_with += dwith;
                    else {
                        STORE(sums[0] + c, LOAD(sums[0] + c) + e), STORE(sums[1] + c, LOAD(sums[1] + c) + with);
                        STORE(sums[2] + c, LOAD(sums[2] + c) + de), STORE(sums[3] + c, LOAD(sums[3] + c) + dwith);
                    }
                }
                STORE(d + c, e), STORE(dd + c, de);
            }
            if (v->norm != LAYER_NORM) continue;
            v16 m = tn_all(total(q_sum) * inverse), n = tn_all(total(q_with) * inverse);
            v16 dm = tn_all(total(dq_sum) * inverse), dn = tn_all(total(dq_with) * inverse);
            for (int64_t c = 0; c < cp; c += V) {
                place_t p = place(t, v, dot, along, b, r, c);
                v16 left = (LOAD(d + c) - m - p.z * n) * p.scale;
                STORE(dd + c, (LOAD(dd + c) - dm - p.dz * n - p.z * dn) * p.scale - p.scale * p.with * left);
                STORE(d + c, left);
            }
        }
    for (int64_t b = b0; b < b1 && v->norm == BATCH_NORM; b++)
        for (int64_t r = 0; r < v->rows; r++)
            for (int64_t c = 0; c < cp; c += V) {
                float *d = GRADS_IN(g, v) + r * cp + c, *dd = GRADS_IN(dg, v) + r * cp + c;
                place_t p = place(t, v, dot, along, b, r, c);
                v16 e = LOAD(d), de = LOAD(dd);
                if (r >= v->rows - scored) {
                    v16 n = LOAD(sums[1] + c) / count;
                    de -= LOAD(sums[2] + c) / count + p.dz * n + p.z * LOAD(sums[3] + c) / count;
                    e -= LOAD(sums[0] + c) / count + p.z * n;
                }
                e *= p.scale;
                STORE(d, e), STORE(dd, de * p.scale - p.scale * p.with * e);
            }
    for (int64_t c = 0; c < v->channels && g_gain; c++) g_gain[c] += of_gain[c], g_shift[c] += of_shift[c];
}

static void signals_along(const net_t *t, const float *dot, const float *const *along, float *signal, int64_t b) {
    int64_t scored = t->n->scored;
    signal += b * scored;
    for (int64_t r = 0; r < scored; r++) signal[r] = t->n->head_bias < 0 ? 0.0f : *along[t->n->head_bias];
    for (const value_t *v = t->values; v < t->values + t->n->values; v++) {
        if (v->head < 0 && !v->sums) continue;
        int64_t cp = tn_pad(v->channels), skip = (v->rows - scored) * cp;
        const float *y = ROWS_OF(v) + skip, *dy = ROWS_IN(dot, v) + skip;
        for (int64_t r = 0; r < scored; r++, y += cp, dy += cp) {
            v16 sum = {0};
            for (int64_t c = 0; c < cp; c += V) {
                int64_t left = v->channels - c;
                if (v->head < 0) sum += some(dy + c, left);
                else sum += LOAD(dy + c) * some(t->params[v->head] + c, left) + LOAD(y + c) * some(along[v->head] + c, left);
            }
            signal[r] += total(sum);
        }
    }
}

static void unsignal_along(const net_t *t, const value_t *v, const float *dot, const float *const *along,
                           const float *g_signal, float *dg, int64_t b, int64_t b0, float *g_head) {
    if (v->head < 0) return;
    int64_t cp = tn_pad(v->channels), scored = t->n->scored, skip = (v->rows - scored) * cp;
    const float *dy = ROWS_IN(dot, v) + skip, *gs = g_signal + b * scored;
    float *dd = GRADS_IN(dg, v) + skip;
    for (int64_t c = 0; c < cp; c += V) {
        v16 change = some(along[v->head] + c, v->channels - c), sum = {0};
        for (int64_t r = 0; r < scored; r++) {
            STORE(dd + r * cp + c, LOAD(dd + r * cp + c) + gs[r] * change);
            sum += gs[r] * LOAD(dy + r * cp + c);
        }
        if (g_head)
            for (int i = 0; i < V && c + i < v->channels; i++) g_head[c + i] += sum[i];
    }
}

/* along: the direction, parameter by parameter; signal: the change of the signals; grads: added to.
   work: the changes of the arena, then twice what a backward pass takes, then what a long filter needs. */
void tn_cells_along(const net_t *t, const float *const *along, const float *g_signal, float *work, int64_t floats,
                    float *signal, float *const *grads, int64_t want) {
    const sizes_t *n = t->n;
    const float *const *p = t->params;
    const factors_t base = {p, p, p, NONE}, alpha = {along, p, p, ALPHA}, weight = {p, along, p, WEIGHT};
    const factors_t depth = {p, p, along, DEPTH};
    float *dot = work, *back = dot + floats, *dback = back + n->back_floats, *gk = dback + n->back_floats;
    float *dgk = gk + n->kernel_floats, *g = dgk + n->kernel_floats, *dg = g + n->chunk * n->grad_floats;
    float *scratch = dg + n->chunk * n->grad_floats;
    memset(dot + n->kernels, 0, sizeof(float) * n->kernel_floats);
    merge(t, dot, &alpha), merge(t, dot, &weight), merge(t, dot, &depth);
    for (int64_t b0 = 0; b0 < n->segments; b0 += n->chunk) {
        int64_t b1 = b0 + n->chunk;
        for (const value_t *v = t->values; v < t->values + n->values; v++) {
            for (int64_t b = b0; b < b1; b++)
                for (int64_t i = 0; i < v->links; i++) {
                    const link_t *k = t->links + v->first + i;
                    int learnt = k->kind == CONV || k->kind == SHARE || k->kind == TAPS;
                    if (k->kind == OUTSIDE) memset(SUMS_IN(dot, v), 0, sizeof(float) * v->rows * tn_pad(v->channels));
                    if (learnt) enter(t, k, b, i == 0, t->arena, dot, along, dot);
                    if (k->kind == MAX) max_along(t, k, dot, b);
                    else if (k->kind != OUTSIDE && k->kind != TAPS) enter(t, k, b, i == 0 && !learnt, dot, t->arena, p, dot);
                }
            if (v->norm == BATCH_NORM) moments_along(t, v, dot);
            for (int64_t b = b0; b < b1; b++) settle_along(t, v, dot, along, b);
        }
        for (int64_t b = b0; b < b1; b++) signals_along(t, dot, along, signal, b);
    }
    turn(t, t->arena, back, want), turn(t, dot, dback, want);
    memset(gk, 0, sizeof(float) * 2 * n->kernel_floats);
    for (int64_t b0 = 0; b0 < n->segments; b0 += n->chunk) {
        int64_t b1 = b0 + n->chunk;
        memset(g, 0, sizeof(float) * 2 * n->chunk * n->grad_floats);
        for (const value_t *v = t->values + n->values - 1; v >= t->values; v--) {
            int wants = want & OF_WEIGHTS;
            if (!FLOWS(v)) continue;
            for (int64_t b = b0; b < b1 && (v->head >= 0 || v->sums); b++) {
                unsignal(t, v, g_signal, g, b, b0, 0);
                unsignal_along(t, v, dot, along, g_signal, dg, b, b0, wants && v->head >= 0 ? grads[v->head] : 0);
            }
            unsettle_along(t, v, dot, along, g, dg, b0, b1, wants && v->gain >= 0 ? grads[v->gain] : 0,
                           wants && v->gain >= 0 ? grads[v->shift] : 0);
            for (int64_t b = b0; b < b1; b++) {
                unbias(t, v, g, gk, b, b0), unbias(t, v, dg, dgk, b, b0);
                for (int64_t i = 0; i < v->links; i++) {
                    const link_t *k = t->links + v->first + i;
                    float *of_alphas = want & OF_ALPHAS ? grads[0] : 0;
                    leave(t, k, t->arena, back, p[0], g, g, gk, 0, scratch, want, b, b0);
                    leave(t, k, t->arena, back, p[0], dg, dg, dgk, of_alphas, scratch, want, b, b0);
                    if (k->kind == CONV || k->kind == SHARE)
                        leave(t, k, dot, dback, along[0], g, dg, dgk, of_alphas, scratch, want, b, b0);
                }
            }
        }
    }
    unmerge(t, dgk, grads, &base, want), unmerge(t, gk, grads, &alpha, want);
    unmerge(t, gk, grads, &weight, want), unmerge(t, gk, grads, &depth, want);
    if (want & OF_WEIGHTS) untap(t, dgk, grads);
}
