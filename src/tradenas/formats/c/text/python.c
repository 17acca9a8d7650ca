#ifdef PREFIX_PYTHON
/* The extension module: REACH, COLUMNS, window(rows), windows(rows_NRF, out_N), Stream(row=None), Window(rows). */

/* The floats of an object, which must be C-contiguous float32 and as many as asked for (n < 0: a multiple of -n). */
static int prefix_floats(PyObject *object, Py_buffer *view, Py_ssize_t n, int writable, const char *what) {
  if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | PyBUF_ND | (writable ? PyBUF_WRITABLE : 0))) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s: expected a C-contiguous%s array of float32 (numpy.ascontiguousarray(x, numpy.float32))", what,
                 writable ? ", writable" : "");
    return -1;
  }
  const Py_ssize_t have = view->len / 4;
  const int is_float = view->itemsize == 4 && view->format && (view->format[0] == 'f' || (view->format[0] == '<' && view->format[1] == 'f'));
  if (!is_float || (n >= 0 ? have != n : have % -n)) {
    if (!is_float) PyErr_Format(PyExc_TypeError, "%s: expected float32, got the format '%s'", what, view->format ? view->format : "B");
    else if (n >= 0) PyErr_Format(PyExc_ValueError, "%s: expected %zd numbers, got %zd", what, n, have);
    else PyErr_Format(PyExc_ValueError, "%s: expected a multiple of %zd numbers, got %zd", what, -n, have);
    PyBuffer_Release(view);
    return -1;
  }
  return 0;
}

typedef struct {
  PyObject_HEAD
  void *raw;           /* as allocated */
  prefix_state *state; /* the same, on a cache line */
  Py_buffer bound;
  int is_bound, ready;
} prefix_Stream;

static void prefix_Stream_free(PyObject *object) {
  prefix_Stream *self = (prefix_Stream *)object;
  if (self->is_bound) PyBuffer_Release(&self->bound);
  PyMem_Free(self->raw);
  Py_TYPE(object)->tp_free(object);
}

static PyObject *prefix_Stream_new(PyTypeObject *type, PyObject *args, PyObject *named) {
  PyObject *row = Py_None;
  static char *names[] = {"row", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, named, "|O", names, &row)) return NULL;
  prefix_Stream *self = (prefix_Stream *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  self->raw = PyMem_Malloc(sizeof(prefix_state) + 64);
  if (!self->raw) { Py_DECREF(self); return PyErr_NoMemory(); }
  self->state = (prefix_state *)(((uintptr_t)self->raw + 63) & ~(uintptr_t)63);
  prefix_reset(self->state);
  if (row != Py_None) {
    if (prefix_floats(row, &self->bound, PREFIX_COLUMNS, 0, "row")) { Py_DECREF(self); return NULL; }
    self->is_bound = 1;
  }
  return (PyObject *)self;
}

static PyObject *prefix_Stream_step(PyObject *object, PyObject *const *args, Py_ssize_t n) {
  prefix_Stream *self = (prefix_Stream *)object;
  float signal;
  if (n == 0 && self->is_bound) {
    self->ready = prefix_step(self->state, self->bound.buf, &signal);
    return PyFloat_FromDouble(signal);
  }
  if (n != 1) { PyErr_SetString(PyExc_TypeError, "step: expected a row, or none where the stream was made with one"); return NULL; }
  Py_buffer row;
  if (prefix_floats(args[0], &row, PREFIX_COLUMNS, 0, "row")) return NULL;
  self->ready = prefix_step(self->state, row.buf, &signal);
  PyBuffer_Release(&row);
  return PyFloat_FromDouble(signal);
}

static PyObject *prefix_Stream_series(PyObject *object, PyObject *const *args, Py_ssize_t n) {
  prefix_Stream *self = (prefix_Stream *)object;
  Py_buffer rows, out;
  if (n != 2) { PyErr_SetString(PyExc_TypeError, "series: expected rows (T, columns) and an array (T,) for signals"); return NULL; }
  if (prefix_floats(args[0], &rows, -PREFIX_COLUMNS, 0, "rows")) return NULL;
  const Py_ssize_t count = rows.len / 4 / PREFIX_COLUMNS;
  if (prefix_floats(args[1], &out, count, 1, "signals")) { PyBuffer_Release(&rows); return NULL; }
  for (Py_ssize_t t = 0; t < count; t++) self->ready = prefix_step(self->state, (const float *)rows.buf + t * PREFIX_COLUMNS, (float *)out.buf + t);
  PyBuffer_Release(&rows);
  PyBuffer_Release(&out);
  Py_RETURN_NONE;
}

static PyObject *prefix_Stream_reset(PyObject *object, PyObject *unused) {
  (void)unused;
  prefix_reset(((prefix_Stream *)object)->state);
  ((prefix_Stream *)object)->ready = 0;
  Py_RETURN_NONE;
}

static PyObject *prefix_Stream_ready(PyObject *object, void *unused) {
  (void)unused;
  return PyBool_FromLong(((prefix_Stream *)object)->ready);
}

static PyMethodDef prefix_Stream_methods[] = {
  {"step", (PyCFunction)(void *)prefix_Stream_step, METH_FASTCALL, "The signal after one more row."},
  {"series", (PyCFunction)(void *)prefix_Stream_series, METH_FASTCALL, "Signals of rows (T, columns), into an array (T,)."},
  {"reset", prefix_Stream_reset, METH_NOARGS, "As before the first row."},
  {NULL, NULL, 0, NULL}};
static PyGetSetDef prefix_Stream_values[] = {
  {"ready", prefix_Stream_ready, NULL, "Whether enough rows were seen for the signal to count.", NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyTypeObject prefix_Stream_type = {
  PyVarObject_HEAD_INIT(NULL, 0).tp_name = "@name@.Stream", .tp_basicsize = sizeof(prefix_Stream), .tp_dealloc = prefix_Stream_free,
  .tp_flags = Py_TPFLAGS_DEFAULT, .tp_doc = "A series, row by row; step() reads the array it was made with, step(row) another.",
  .tp_methods = prefix_Stream_methods, .tp_getset = prefix_Stream_values, .tp_new = prefix_Stream_new};

typedef struct {
  PyObject_HEAD
  Py_buffer bound;
} prefix_Window;

static void prefix_Window_free(PyObject *object) {
  if (((prefix_Window *)object)->bound.obj) PyBuffer_Release(&((prefix_Window *)object)->bound);
  Py_TYPE(object)->tp_free(object);
}

static PyObject *prefix_Window_new(PyTypeObject *type, PyObject *args, PyObject *named) {
  PyObject *rows;
  static char *names[] = {"rows", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, named, "O", names, &rows)) return NULL;
  prefix_Window *self = (prefix_Window *)type->tp_alloc(type, 0);
  if (self && prefix_floats(rows, &self->bound, PREFIX_REACH * PREFIX_COLUMNS, 0, "rows")) { self->bound.obj = NULL; Py_DECREF(self); return NULL; }
  return (PyObject *)self;
}

static PyObject *prefix_Window_run(PyObject *object, PyObject *unused) {
  (void)unused;
  float signal;
  prefix_window(((prefix_Window *)object)->bound.buf, &signal);
  return PyFloat_FromDouble(signal);
}

static PyMethodDef prefix_Window_methods[] = {
  {"run", prefix_Window_run, METH_NOARGS, "The signal of what the array holds now."}, {NULL, NULL, 0, NULL}};
static PyTypeObject prefix_Window_type = {
  PyVarObject_HEAD_INIT(NULL, 0).tp_name = "@name@.Window", .tp_basicsize = sizeof(prefix_Window), .tp_dealloc = prefix_Window_free,
  .tp_flags = Py_TPFLAGS_DEFAULT, .tp_doc = "The latest REACH rows in an array that is written to in place.",
  .tp_methods = prefix_Window_methods, .tp_new = prefix_Window_new};

static PyObject *prefix_py_window(PyObject *module, PyObject *const *args, Py_ssize_t n) {
  (void)module;
  Py_buffer rows;
  float signal;
  if (n != 1) { PyErr_SetString(PyExc_TypeError, "window: expected rows (REACH, COLUMNS)"); return NULL; }
  if (prefix_floats(args[0], &rows, PREFIX_REACH * PREFIX_COLUMNS, 0, "rows")) return NULL;
  prefix_window(rows.buf, &signal);
  PyBuffer_Release(&rows);
  return PyFloat_FromDouble(signal);
}

static PyObject *prefix_py_windows(PyObject *module, PyObject *const *args, Py_ssize_t n) {
  (void)module;
  Py_buffer rows, out;
  const Py_ssize_t each = PREFIX_REACH * PREFIX_COLUMNS;
  if (n != 2) { PyErr_SetString(PyExc_TypeError, "windows: expected rows (N, REACH, COLUMNS) and an array (N,) for signals"); return NULL; }
  if (prefix_floats(args[0], &rows, -each, 0, "rows")) return NULL;
  const Py_ssize_t count = rows.len / 4 / each;
  if (prefix_floats(args[1], &out, count, 1, "signals")) { PyBuffer_Release(&rows); return NULL; }
  for (Py_ssize_t i = 0; i < count; i++) prefix_window((const float *)rows.buf + i * each, (float *)out.buf + i);
  PyBuffer_Release(&rows);
  PyBuffer_Release(&out);
  Py_RETURN_NONE;
}

static PyMethodDef prefix_methods[] = {
  {"window", (PyCFunction)(void *)prefix_py_window, METH_FASTCALL, "The signal of rows (REACH, COLUMNS)."},
  {"windows", (PyCFunction)(void *)prefix_py_windows, METH_FASTCALL, "Signals of rows (N, REACH, COLUMNS), into an array (N,)."},
  {NULL, NULL, 0, NULL}};
static struct PyModuleDef prefix_module = {PyModuleDef_HEAD_INIT, "@name@", "A network as C.", -1, prefix_methods, NULL, NULL, NULL, NULL};

static int prefix_add(PyObject *module, const char *name, PyTypeObject *type) {
  if (PyType_Ready(type)) return -1;
  Py_INCREF(type);
  return PyModule_AddObject(module, name, (PyObject *)type);
}

PyMODINIT_FUNC PyInit_@name@(void) {
  PyObject *module = PyModule_Create(&prefix_module);
  if (!module) return NULL;
  if (prefix_add(module, "Stream", &prefix_Stream_type) || prefix_add(module, "Window", &prefix_Window_type) ||
      PyModule_AddIntConstant(module, "REACH", PREFIX_REACH) || PyModule_AddIntConstant(module, "COLUMNS", PREFIX_COLUMNS) ||
      PyModule_AddIntConstant(module, "PROGRAMS", PREFIX_PROGRAMS)) {
    Py_DECREF(module);
    return NULL;
  }
  return module;
}
#endif
