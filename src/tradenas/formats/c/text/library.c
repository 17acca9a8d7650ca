#if defined(TN_LIBRARY) || defined(PREFIX_MAIN)
#include <time.h>
/* Nanoseconds of each of n calls: of nothing (kind -1), on a window (0), on one more row (1); rows has REACH of them. */
void prefix_time(int kind, const float *rows, long n, double *ns) {
  static prefix_state s;
  struct timespec a, b;
  float signal;
  prefix_reset(&s);
  for (long i = 0; i < n; i++) {
    const float *row = rows + i % PREFIX_REACH * PREFIX_COLUMNS;
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (kind == 0) prefix_window(rows, &signal);
    if (kind == 1) prefix_step(&s, row, &signal);
    clock_gettime(CLOCK_MONOTONIC, &b);
    ns[i] = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
  }
}
#endif
#ifdef TN_LIBRARY
void prefix_series(const float *rows, long n, float *signals) {
  static prefix_state s;
  prefix_reset(&s);
  for (long t = 0; t < n; t++) prefix_step(&s, rows + t * PREFIX_COLUMNS, signals + t);
}
void prefix_windows(const float *rows, long n, float *signals) {
  for (long i = 0; i < n; i++) prefix_window(rows + i * PREFIX_REACH * PREFIX_COLUMNS, signals + i);
}
#endif
