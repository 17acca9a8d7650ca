/* Rows through all values of a network of cells, and gradients back through them (`cells.h` says what these are). */

/* --- forward ------------------------------------------------------------------------------------------------------ */

#define ROWS_IN(arena, v) ((arena) + (v)->y + b * (v)->rows * tn_pad((v)->channels))
#define SUMS_IN(arena, v) ((arena) + (v)->u + b * (v)->rows * tn_pad((v)->channels))
#define ROWS_OF(v) ROWS_IN(t->arena, v)
#define SUMS_OF(v) SUMS_IN(t->arena, v)

/* Rows of `values` through kernels and parameters into sums: all of one arena, or of two for a derivative. */
static void enter(const net_t *t, const link_t *k, int64_t b, int first, const float *values, float *kernels,
                  const float *const *params, float *sums) {
    const value_t *to = t->values + k->to, *from = t->values + k->from;
    int64_t cp = tn_pad(to->channels), fp = tn_pad(from->channels);
    float *u = SUMS_IN(sums, to);
    const float *bias = to->bias < 0 ? 0 : kernels + to->bias, *x = 0;
    if (first && k->kind == SHARE)
        for (int64_t r = 0; r < to->rows; r++)
            for (int64_t c = 0; c < cp; c++) u[r * cp + c] = bias ? bias[c] : 0.0f;
    if (k->kind != OUTSIDE) x = ROWS_IN(values, from) + (from->rows - to->rows) * fp;
    switch (k->kind) {
    case CONV:
        for (int64_t i = 0; i < k->num; i++) { /* first tap, its lag, taps, step */
            const int64_t *run = t->list + k->runs + 4 * i;
            tn_product(x - run[1] * fp, fp, run[2], run[3], from->channels,
                       kernels + k->kernel + run[0] * from->channels * cp, cp, to->channels, first && !i ? bias : 0, u,
                       cp, to->rows, !(first && !i));
        }
        break;
    case TAPS: /* of (channels, stride), the latest row's first */
        for (int64_t l = 0; l < k->taps; l++)
            for (int64_t c = 0; c < to->channels; c++)
                kernels[k->kernel + (k->taps - 1 - l) * cp + c] = params[k->param][c * k->stride + l];
        tn_taps(x - (k->taps - 1) * fp, fp, k->taps, 1, to->channels, kernels + k->kernel, cp, u, cp, to->rows, 0);
        break;
    case FIXED:
        for (int64_t l = 0; l < k->taps; l++)
            for (int64_t c = 0; c < cp; c++) kernels[k->kernel + (k->taps - 1 - l) * cp + c] = t->fixed[k->fixed + l];
        tn_taps(x - (k->taps - 1) * fp, fp, k->taps, 1, to->channels, kernels + k->kernel, cp, u, cp, to->rows, 0);
        break;
    case MAX:
        for (int64_t r = 0; r < to->rows; r++)
            for (int64_t c = 0; c < cp; c += V) {
                v16 most = LOAD(x + r * fp + c);
                for (int64_t l = 1; l < k->taps; l++) {
                    v16 other = LOAD(x + (r - l) * fp + c);
                    most = tn_where(~(other <= most), other, most); /* what is not a number stays */
                }
                STORE(u + r * cp + c, most);
            }
        break;
    case SHARE: {
        float a = params[0][k->alpha];
        for (int64_t i = 0; i < to->rows * cp; i += V) STORE(u + i, LOAD(u + i) + a * LOAD(x + i));
        break;
    }
    default: /* OUTSIDE */
        for (int64_t r = 0; r < to->rows; r++) {
            const float *row = t->outside + b * t->n->segment_outside +
                               (t->n->rows_outside - to->rows + r) * t->n->stride_outside;
            for (int64_t c = 0; c < cp; c++) u[r * cp + c] = c < to->channels ? row[c] : 0.0f;
        }
    }
}

/* Mean and 1 / deviation of each channel over the scored rows, and what the gradient needs of them. */
static void moments(const net_t *t, const value_t *v) {
    int64_t cp = tn_pad(v->channels), scored = t->n->scored, segments = t->n->segments;
    float count = (float)(scored * segments);
    for (int64_t c = 0; c < cp; c += V) {
        v16 sum = {0}, square = {0};
        for (int64_t b = 0; b < segments; b++)
            for (int64_t r = v->rows - scored; r < v->rows; r++) sum += LOAD(SUMS_OF(v) + r * cp + c);
        sum /= count;
        for (int64_t b = 0; b < segments; b++)
            for (int64_t r = v->rows - scored; r < v->rows; r++) {
                v16 x = LOAD(SUMS_OF(v) + r * cp + c) - sum;
                square += x * x;
            }
        STORE(t->arena + v->stat + c, sum);
        for (int i = 0; i < V; i++) t->arena[v->stat + cp + c + i] = 1.0f / sqrtf(square[i] / count + EPSILON);
    }
}

/* One vector of what a row is after its norm, before the activation. */
static inline v16 normed(v16 u, v16 mean, v16 scale, v16 gain, v16 shift) { return (u - mean) * scale * gain + shift; }

static void settle(const net_t *t, const value_t *v, int64_t b) {
    if (v->u == v->y) return;
    int64_t cp = tn_pad(v->channels);
    const float *u = SUMS_OF(v), *gain = v->gain < 0 ? 0 : t->params[v->gain], *shift = v->shift < 0 ? 0 : t->params[v->shift];
    const float *mask = v->mask < 0 ? 0 : t->params[v->mask] + b * v->channels;
    float *y = ROWS_OF(v), *stat = t->arena + v->stat + b * v->rows * 2, inverse = 1.0f / v->channels;
    for (int64_t r = 0; r < v->rows; r++, u += cp, y += cp) {
        v16 mean = {0}, scale = tn_all(1.0f);
        if (v->norm == LAYER_NORM) {
            v16 sum = {0}, square = {0};
            for (int64_t c = 0; c < cp; c += V) sum += LOAD(u + c);
            mean = tn_all(total(sum) * inverse);
            for (int64_t c = 0; c < cp; c += V) {
                v16 x = LOAD(u + c) - mean;
                if (c + V > v->channels) x *= some(ONES, v->channels - c); /* the padding has no deviation */
                square += x * x;
            }
            scale = tn_all(1.0f / sqrtf(total(square) * inverse + EPSILON));
            stat[2 * r] = mean[0], stat[2 * r + 1] = scale[0];
        }
        for (int64_t c = 0; c < cp; c += V) {
            int64_t left = v->channels - c;
            if (v->norm == BATCH_NORM) mean = LOAD(t->arena + v->stat + c), scale = LOAD(t->arena + v->stat + cp + c);
            v16 x = LOAD(u + c);
            if (v->norm) x = normed(x, mean, scale, some(gain + c, left), some(shift + c, left));
            if (v->act >= 0) x = tn_activation(v->act, x);
            if (mask) x *= some(mask + c, left);
            else if (left < V) x *= some(ONES, left); /* an activation of 0 may be more */
            STORE(y + c, x);
        }
    }
}

static void signals(const net_t *t, float *signal, int64_t b) {
    int64_t scored = t->n->scored;
    signal += b * scored;
    for (int64_t r = 0; r < scored; r++) signal[r] = t->n->head_bias < 0 ? 0.0f : *t->params[t->n->head_bias];
    for (const value_t *v = t->values; v < t->values + t->n->values; v++) {
        if (v->head < 0 && !v->sums) continue;
        int64_t cp = tn_pad(v->channels);
        const float *y = ROWS_OF(v) + (v->rows - scored) * cp, *w = v->head < 0 ? 0 : t->params[v->head];
        for (int64_t r = 0; r < scored; r++, y += cp) {
            v16 sum = {0};
            for (int64_t c = 0; c < cp; c += V)
                if (w) sum += LOAD(y + c) * some(w + c, v->channels - c);
                else sum += some(y + c, v->channels - c);
            signal[r] += total(sum);
        }
    }
}

void tn_cells_forward(const net_t *t, float *signal) {
    memset(t->arena + t->n->kernels, 0, sizeof(float) * t->n->kernel_floats);
    merge(t, t->arena, &(factors_t){t->params, t->params, t->params, NONE});
    for (int64_t b0 = 0; b0 < t->n->segments; b0 += t->n->chunk) {
        for (const value_t *v = t->values; v < t->values + t->n->values; v++) {
            for (int64_t b = b0; b < b0 + t->n->chunk; b++)
                for (int64_t i = 0; i < v->links; i++) enter(t, t->links + v->first + i, b, i == 0, t->arena, t->arena, t->params, t->arena);
            if (v->norm == BATCH_NORM) moments(t, v);
            for (int64_t b = b0; b < b0 + t->n->chunk; b++) settle(t, v, b);
        }
        for (int64_t b = b0; b < b0 + t->n->chunk; b++) signals(t, signal, b);
    }
}

/* --- backward ----------------------------------------------------------------------------------------------------- */

#define GRADS_IN(arena, v) ((arena) + (v)->g + (b - b0) * (v)->rows * tn_pad((v)->channels))
#define GRADS_OF(v) GRADS_IN(g, v)

static void unsignal(const net_t *t, const value_t *v, const float *g_signal, float *g, int64_t b, int64_t b0,
                     float *g_head) {
    int64_t cp = tn_pad(v->channels), scored = t->n->scored, skip = (v->rows - scored) * cp;
    const float *y = ROWS_OF(v) + skip, *w = v->head < 0 ? 0 : t->params[v->head], *gs = g_signal + b * scored;
    float *gy = GRADS_OF(v) + skip;
    for (int64_t c = 0; c < cp; c += V) {
        v16 weight = tn_all(1.0f), sum = {0};
        if (w) weight = some(w + c, v->channels - c);
        for (int64_t r = 0; r < scored; r++) {
            STORE(gy + r * cp + c, LOAD(gy + r * cp + c) + gs[r] * weight);
            sum += gs[r] * LOAD(y + r * cp + c);
        }
        if (g_head)
            for (int i = 0; i < V && c + i < v->channels; i++) g_head[c + i] += sum[i];
    }
}

/* The gradient before mask, activation and norm, in place of that behind them. */
static void unsettle(const net_t *t, const value_t *v, float *g, int64_t b0, int64_t b1, float *g_gain, float *g_shift) {
    if (v->u == v->y) return;
    int64_t cp = tn_pad(v->channels), scored = t->n->scored;
    const float *gain = v->gain < 0 ? 0 : t->params[v->gain], *shift = v->shift < 0 ? 0 : t->params[v->shift];
    float inverse = 1.0f / v->channels, count = (float)(scored * t->n->segments);
    float of_gain[cp], of_shift[cp], gains[cp], shifts[cp];
    memset(of_gain, 0, sizeof of_gain), memset(of_shift, 0, sizeof of_shift);
    for (int64_t c = 0; c < cp && v->norm; c += V) {
        STORE(gains + c, some(gain + c, v->channels - c));
        STORE(shifts + c, some(shift + c, v->channels - c));
    }
    for (int64_t b = b0; b < b1; b++) {
        const float *u = SUMS_OF(v), *mask = v->mask < 0 ? 0 : t->params[v->mask] + b * v->channels;
        const float *stat = t->arena + v->stat + b * v->rows * 2;
        float *d = GRADS_OF(v);
        for (int64_t r = 0; r < v->rows; r++, u += cp, d += cp) {
            v16 mean = {0}, scale = tn_all(1.0f), sum = {0}, with = {0};
            if (v->norm == LAYER_NORM) mean = tn_all(stat[2 * r]), scale = tn_all(stat[2 * r + 1]);
            for (int64_t c = 0; c < cp; c += V) {
                if (v->norm == BATCH_NORM) mean = LOAD(t->arena + v->stat + c), scale = LOAD(t->arena + v->stat + cp + c);
                v16 x = LOAD(u + c), e = LOAD(d + c), z = (x - mean) * scale;
                if (v->norm) x = z * LOAD(gains + c) + LOAD(shifts + c);
                if (mask) e *= some(mask + c, v->channels - c);
                if (v->act >= 0) e *= tn_slope(v->act, x);
                if (v->norm) {
                    STORE(of_shift + c, LOAD(of_shift + c) + e);
                    STORE(of_gain + c, LOAD(of_gain + c) + e * z);
                    e *= LOAD(gains + c);
                    sum += e;
                    with += e * z;
                    if (v->norm == BATCH_NORM) e *= scale;
                }
                STORE(d + c, e);
            }
            if (v->norm != LAYER_NORM) continue;
            v16 m = tn_all(total(sum) * inverse), n = tn_all(total(with) * inverse);
            for (int64_t c = 0; c < cp; c += V) STORE(d + c, (LOAD(d + c) - m - (LOAD(u + c) - mean) * scale * n) * scale);
        }
    }
    if (v->norm == BATCH_NORM) /* mean and variance are those of the scored rows, and hang on all of them */
        for (int64_t c = 0; c < cp; c += V) {
            v16 mean = LOAD(t->arena + v->stat + c), scale = LOAD(t->arena + v->stat + cp + c), own = LOAD(gains + c) * scale;
            v16 m = LOAD(of_shift + c) * own / count, n = LOAD(of_gain + c) * own / count;
            for (int64_t b = b0; b < b1; b++)
                for (int64_t r = v->rows - scored; r < v->rows; r++) {
                    float *d = GRADS_OF(v) + r * cp + c;
                    STORE(d, LOAD(d) - m - (LOAD(SUMS_OF(v) + r * cp + c) - mean) * scale * n);
                }
        }
    for (int64_t c = 0; c < v->channels && g_gain; c++) g_gain[c] += of_gain[c], g_shift[c] += of_shift[c];
}

/* From the gradient of a value to those of what entered it. */
static void leave(const net_t *t, const link_t *k, const float *values, const float *back, const float *alphas,
                  const float *g, float *into_g, float *gk, float *g_alphas, float *scratch, int64_t want, int64_t b,
                  int64_t b0) {
    const value_t *to = t->values + k->to, *from = t->values + k->from;
    if (k->kind == OUTSIDE) return;
    int64_t cp = tn_pad(to->channels), fp = tn_pad(from->channels), skip = (from->rows - to->rows) * fp;
    const float *d = GRADS_IN(g, to), *x = ROWS_IN(values, from) + skip;
    float *into = GRADS_IN(into_g, from) + skip;
    switch (k->kind) {
    case CONV:
        for (int64_t i = 0; i < k->num; i++) {
            const int64_t *run = t->list + k->runs + 4 * i;
            if (want & OF_WEIGHTS || (k->learns && want & OF_ALPHAS))
                tn_outer(x - run[1] * fp, fp, run[2], run[3], from->channels, d, cp, to->channels,
                         gk + (k->kernel - t->n->kernels) + run[0] * from->channels * cp, cp, to->rows);
            for (int64_t l = 0; l < run[2] && FLOWS(from); l++)
                tn_product(d, cp, 1, 0, to->channels, back + k->back + (run[0] + l) * to->channels * fp, fp, from->channels,
                           0, into + (l * run[3] - run[1]) * fp, fp, to->rows, 1);
        }
        break;
    case TAPS:
        if (want & OF_WEIGHTS)
            tn_untaps(x - (k->taps - 1) * fp, fp, k->taps, 1, to->channels, d, cp, gk + (k->kernel - t->n->kernels), cp,
                      to->rows);
        break;
    case FIXED: { /* the same taps, ahead in time */
        if (!FLOWS(from)) break;
        int64_t far = k->taps - 1, rows = to->rows + far;
        memset(scratch, 0, sizeof(float) * far * cp);
        memcpy(scratch + far * cp, d, sizeof(float) * to->rows * cp);
        memset(scratch + rows * cp, 0, sizeof(float) * far * cp);
        float *taps = scratch + (rows + far) * cp;
        for (int64_t l = 0; l <= far; l++)
            for (int64_t c = 0; c < cp; c++) taps[l * cp + c] = t->fixed[k->fixed + l];
        tn_taps(scratch, cp, k->taps, 1, to->channels, taps, cp, into - far * fp, fp, rows, 1);
        break;
    }
    case MAX: { /* shared by all that are the largest */
        if (!FLOWS(from)) break;
        const float *y = ROWS_OF(to);
        for (int64_t r = 0; r < to->rows; r++)
            for (int64_t c = 0; c < cp; c += V) {
                const float *own = x + r * fp + c;
                v16 most = LOAD(y + r * cp + c), many = {0}, one = tn_all(1.0f), none = {0};
                for (int64_t l = 0; l < k->taps; l++) many += tn_where(LOAD(own - l * fp) == most, one, none);
                v16 share = LOAD(d + r * cp + c) / many;
                for (int64_t l = 0; l < k->taps; l++) {
                    float *at = into + (r - l) * fp + c;
                    STORE(at, LOAD(at) + tn_where(LOAD(own - l * fp) == most, share, none));
                }
            }
        break;
    }
    default: { /* SHARE */
        float a = alphas[k->alpha];
        v16 sum = {0};
        for (int64_t i = 0; i < to->rows * cp; i += V) {
            STORE(into + i, LOAD(into + i) + a * LOAD(d + i));
            sum += LOAD(d + i) * LOAD(x + i);
        }
        if (g_alphas) g_alphas[k->alpha] += total(sum);
    }
    }
}

static void unbias(const net_t *t, const value_t *v, const float *g, float *gk, int64_t b, int64_t b0) {
    int64_t cp = tn_pad(v->channels);
    const float *d = GRADS_OF(v);
    float *gb = gk + (v->bias - t->n->kernels);
    for (int64_t c = 0; c < cp && v->bias >= 0; c += V) {
        v16 sum = LOAD(gb + c);
        for (int64_t r = 0; r < v->rows; r++) sum += LOAD(d + r * cp + c);
        STORE(gb + c, sum);
    }
}

/* Gradients of the taps of inputs, from where those of kernels are added up. */
static void untap(const net_t *t, const float *gk, float *const *grads) {
    for (const link_t *k = t->links; k < t->links + t->n->links; k++) {
        if (k->kind != TAPS) continue;
        int64_t channels = t->values[k->to].channels, cp = tn_pad(channels);
        for (int64_t l = 0; l < k->taps; l++)
            for (int64_t c = 0; c < channels; c++)
                grads[k->param][c * k->stride + l] += gk[k->kernel - t->n->kernels + (k->taps - 1 - l) * cp + c];
    }
}

/* work: transposed kernels, gradients of kernels and of values, then what a long filter needs. */
void tn_cells_backward(const net_t *t, const float *g_signal, float *work, float *const *grads, int64_t want) {
    const sizes_t *n = t->n;
    float *back = work, *gk = back + n->back_floats, *g = gk + n->kernel_floats, *scratch = g + n->chunk * n->grad_floats;
    turn(t, t->arena, back, want);
    memset(gk, 0, sizeof(float) * n->kernel_floats);
    for (int64_t b0 = 0; b0 < n->segments; b0 += n->chunk) {
        int64_t b1 = b0 + n->chunk;
        memset(g, 0, sizeof(float) * n->chunk * n->grad_floats);
        for (const value_t *v = t->values + n->values - 1; v >= t->values; v--) {
            int wants = want & OF_WEIGHTS;
            if (!FLOWS(v)) continue;
            for (int64_t b = b0; b < b1 && (v->head >= 0 || v->sums); b++)
                unsignal(t, v, g_signal, g, b, b0, wants && v->head >= 0 ? grads[v->head] : 0);
            unsettle(t, v, g, b0, b1, wants && v->gain >= 0 ? grads[v->gain] : 0, wants && v->gain >= 0 ? grads[v->shift] : 0);
            for (int64_t b = b0; b < b1; b++) {
                unbias(t, v, g, gk, b, b0);
                for (int64_t i = 0; i < v->links; i++)
                    leave(t, t->links + v->first + i, t->arena, back, t->params[0], g, g, gk,
                          want & OF_ALPHAS ? grads[0] : 0, scratch, want, b, b0);
            }
        }
    }
    unmerge(t, gk, grads, &(factors_t){t->params, t->params, t->params, NONE}, want);
    if (!(want & OF_WEIGHTS)) return;
    untap(t, gk, grads);
    if (n->head_bias >= 0)
        for (int64_t i = 0; i < n->segments * n->scored; i++) *grads[n->head_bias] += g_signal[i];
}
