/* How weights are moved: the norm of all gradients, their scaling, and AdamW, over a list of tensors in one call each. */
typedef struct {
    float *weight, *mean, *square, *steps; /* `steps` is one number */
    float *gradient;
    int64_t size;
    double decay;
} moved_t;

double tn_norm(const moved_t *all, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++) {
        const float *g = all[i].gradient;
        v16 sum = {0};
        int64_t j = 0;
        for (; j + V <= all[i].size; j += V) sum += LOAD(g + j) * LOAD(g + j);
        double one = 0;
        for (; j < all[i].size; j++) one += (double)g[j] * g[j];
        for (int k = 0; k < V; k++) one += sum[k];
        total += one;
    }
    return sqrt(total);
}

void tn_scale(const moved_t *all, int64_t count, double factor) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < all[i].size; j++) all[i].gradient[j] *= (float)factor;
}

void tn_adamw(const moved_t *all, int64_t count, double lr, double beta_1, double beta_2, double epsilon) {
    for (int64_t i = 0; i < count; i++) {
        const moved_t *m = all + i;
        float *restrict w = m->weight, *restrict mean = m->mean, *restrict square = m->square;
        const float *restrict g = m->gradient;
        double step = *m->steps += 1.0f;
        float kept = (float)(1.0 - lr * m->decay), b1 = (float)beta_1, b2 = (float)beta_2, eps = (float)epsilon;
        float size = (float)(lr / (1.0 - pow(beta_1, step))), root = (float)(1.0 / sqrt(1.0 - pow(beta_2, step)));
        for (int64_t j = 0; j < m->size; j++) {
            mean[j] += (1.0f - b1) * (g[j] - mean[j]);
            square[j] = b2 * square[j] + (1.0f - b2) * g[j] * g[j];
            w[j] = w[j] * kept - size * mean[j] / (sqrtf(square[j]) * root + eps);
        }
    }
}

/* A stack of networks, `each` tensors one after another: every network by itself, as if the others were not there. */
void tn_norms(const moved_t *all, int64_t networks, int64_t each, double *norms) {
    for (int64_t n = 0; n < networks; n++) norms[n] = tn_norm(all + n * each, each);
}

void tn_adamw_each(const moved_t *all, int64_t networks, int64_t each, const uint8_t *goes, const double *lr,
                   const double *norms, double most, double beta_1, double beta_2, double epsilon) {
    for (int64_t n = 0; n < networks; n++)
        if (goes[n]) {
            if (norms[n] + 1e-6 > most) tn_scale(all + n * each, each, most / (norms[n] + 1e-6));
            tn_adamw(all + n * each, each, lr[n], beta_1, beta_2, epsilon);
        }
}

/* Moves weights whose gradient is not zero towards zero by `amount`, not past it. */
void tn_shrink(float *weights, const float *gradient, int64_t size, double amount) {
    float by = (float)amount;
    for (int64_t i = 0; i < size; i++) {
        float left = fabsf(weights[i]) - by, shrunk = left <= 0.0f ? 0.0f : copysignf(left, weights[i]);
        weights[i] = gradient[i] != 0.0f ? shrunk : weights[i];
    }
}
