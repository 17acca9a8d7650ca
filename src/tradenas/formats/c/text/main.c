#ifdef PREFIX_MAIN
/* Compares both entries with the signals that a double-precision reference gave for the same rows; with a number of
   calls as its argument it also times them.  Exit status 0 only where all are within the tolerance of the largest signal
   (or of 1): 1e-6, or 8 times what the last bit of the rows makes, or 1e-2 where such a bit may tip a quantiser. */
#include <stdio.h>
#include <stdlib.h>
static int prefix_order(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
int main(int argc, char **argv) {
  enum { R = PREFIX_REACH, C = PREFIX_COLUMNS, N = sizeof prefix_golden / sizeof *prefix_golden };
  static float rows[(R + N - 1) * C];
  static prefix_state state, other;
  uint64_t seed = 1;
  float signal = 0, worst = 0, size = 1;
  for (int i = 0; i < (R + N - 1) * C; i++) {
    seed = 6364136223846793005u * seed + 1442695040888963407u;
    rows[i] = (float)(seed >> 40) * 0x1p-22f - 2.0f;
  }
  int failed = 0;
  prefix_reset(&state);
  prefix_reset(&other);
  for (int t = 0; t < R + N - 1; t++) {
    if (prefix_step(&state, rows + t * C, &signal) != (t >= R - 1)) failed = 1;
    if (t < R - 1) continue;
    const float expected = prefix_golden[t - R + 1];
    const float a = signal - expected;
    prefix_window(rows + (t - R + 1) * C, &signal);
    const float b = signal - expected;
    size = expected > size ? expected : -expected > size ? -expected : size;
    worst = a > worst ? a : -a > worst ? -a : worst;
    worst = b > worst ? b : -b > worst ? -b : worst;
    if (a != a || b != b) failed = 1;
  }
  rows[0] = __builtin_nanf("");
  prefix_window(rows, &signal);
  if (signal == signal) failed = 1;
  prefix_step(&other, rows, &signal);
  if (signal == signal) failed = 1;
  failed |= !(worst <= PREFIX_TOLERANCE * size);
  printf("@name@: %d signals, largest difference %.2e of %.3g: %s\n", 2 * N, worst, size, failed ? "FAILED" : "passed");
  if (argc > 1) {
    const int calls = atoi(argv[1]) > 1 ? atoi(argv[1]) : 1;
    double *ns = malloc(sizeof(double) * calls);
    rows[0] = 0;
    for (int kind = -1; kind < 2; kind++) {
      prefix_time(kind, rows, calls, ns);
      qsort(ns, calls, sizeof *ns, prefix_order);
      printf("%s ns: p50 %.0f, p99 %.0f\n", kind < 0 ? "clock " : kind ? "stream" : "window", ns[calls / 2], ns[(long)calls * 99 / 100]);
    }
    free(ns);
  }
  return failed;
}
#endif
