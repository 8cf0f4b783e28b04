/* An op of one or two arguments while nobody watches: `engine.dispatch.unary` and `binary`, where the arguments are
   tensors of one floating type on NumPy, too small to be put off, or plain numbers. Included by `core.c`. */

static PyObject *Tensor, *Parameter, *dispatch, *behind, *py_unary, *py_binary, *passed_on;
static PyObject *floats[3]; /* dtypes: with them no argument has to be cast */
static struct { Py_ssize_t array, node; } x;
static Py_ssize_t b_active;

#define DISPATCH_NAMES(X) X(_late)
DISPATCH_NAMES(NAMED)

static inline int is_tensor(PyObject *object)
{
    return (PyObject *)Py_TYPE(object) == Tensor || (PyObject *)Py_TYPE(object) == Parameter;
}

/* Whether no gradient flows and `source` would hold on to a long past: another stands for it, a new reference. */
static PyObject *without_past(PyObject *source)
{
    if (source == Py_None) return Py_NewRef(source);
    int flows = truth(AT(source, n.requires)) && AT(source, n.op) != Py_None;
    return flows || number(AT(source, n.depth)) >= REACH ? PyObject_CallOneArg(behind, source) : Py_NewRef(source);
}

/* A node's inputs and depth where no gradient flows to it. */
static int past_of(PyObject *node, PyObject **nodes, Py_ssize_t count)
{
    PyObject *inputs = PyTuple_New(count), *value;
    int64_t depth = 0;
    for (Py_ssize_t i = 0; inputs != NULL && i < count; i++) {
        PyObject *source = without_past(nodes[i]);
        if (source == NULL || (source != Py_None && !is_node(source))) {
            Py_XDECREF(source);
            Py_CLEAR(inputs);
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "no node");
            break;
        }
        if (source != Py_None && number(AT(source, n.depth)) >= depth) depth = number(AT(source, n.depth)) + 1;
        PyTuple_SET_ITEM(inputs, i, source);
    }
    if (inputs == NULL) return -1;
    put(node, n.inputs, inputs);
    if ((value = PyLong_FromLongLong(depth)) == NULL) return -1;
    put(node, n.depth, value);
    put_new(node, n.saved, nothing);
    return 0;
}

/* The node of an op that has run, whose caller's caller's frame is the person's or the engine's. */
static PyObject *node_of(PyObject *op, PyObject **arrays, PyObject **nodes, Py_ssize_t count, PyObject *out)
{
    PyObject *code = NULL, *frame = persons(1, &code), *node, *value;
    int flows = 0;
    if (frame == NULL) return NULL;
    if ((node = ((PyTypeObject *)Node)->tp_alloc((PyTypeObject *)Node, 0)) == NULL) goto failed;
    put_new(node, n.op, op);
    put_new(node, n.kwargs, no_kwargs);
    put_new(node, n.code, code);
    if ((value = PyLong_FromLong(instruction_of(frame))) == NULL) goto failed;
    put(node, n.lasti, value);
    put_new(node, n.stamp, AT(writes, w_count));
    if ((value = PyIter_Next(orders)) == NULL) goto failed;
    put(node, n.order, value);
    if ((value = PyObject_GetAttr(out, s_shape)) == NULL) goto failed;
    put(node, n.shape, value);
    if ((value = PyObject_GetAttr(out, s_dtype)) == NULL) goto failed;
    put(node, n.dtype, value);
    for (Py_ssize_t i = 0; i < count; i++) flows |= nodes[i] != Py_None && truth(AT(nodes[i], n.requires)) > 0;
    if (flows && AT(op, o.vjp) != Py_None) {
        PyObject *grad = PyObject_GetAttr(state, s_grad);
        if (grad == NULL) goto failed;
        flows = truth(grad) > 0;
        Py_DECREF(grad);
    } else
        flows = 0;
    put_new(node, n.requires, flows ? Py_True : Py_False);
    if (flows) {
        put_new(node, n.depth, zero);
        value = count == 1 ? PyTuple_Pack(1, nodes[0]) : PyTuple_Pack(2, nodes[0], nodes[1]);
        if (value == NULL) goto failed;
        put(node, n.inputs, value);
        if (keep_on(node, op, arrays, nodes, count, out) < 0) goto failed;
    } else if (past_of(node, nodes, count) < 0)
        goto failed;
    Py_DECREF(frame);
    Py_DECREF(code);
    return node;
failed:
    Py_DECREF(frame);
    Py_DECREF(code);
    Py_XDECREF(node);
    return NULL;
}

/* 1 where these arguments go this way; their arrays and nodes, borrowed from them. */
static int quick(PyObject *op, PyObject *const *args, Py_ssize_t count, PyObject **arrays, PyObject **nodes)
{
    PyObject *kind = NULL, *late = PyDict_GetItemWithError(dispatch, s__late);
    if (AT(bus, b_active) != Py_False || (PyObject *)Py_TYPE(op) != Op || !is_tensor(args[0])) return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (is_tensor(args[i])) {
            arrays[i] = AT(args[i], x.array), nodes[i] = AT(args[i], x.node);
            if (arrays[i] == NULL || nodes[i] == NULL || !is_array(arrays[i]) || !is_node(nodes[i])) return 0;
            PyObject *dtype = PyObject_GetAttr(arrays[i], s_dtype);
            int same = dtype != NULL && (i ? dtype == kind : dtype == floats[0] || dtype == floats[1] || dtype == floats[2]);
            Py_XDECREF(dtype);
            kind = dtype;
            if (!same) return 0;
        } else {
            if (!PyFloat_CheckExact(args[i]) && !PyLong_CheckExact(args[i])) return 0;
            arrays[i] = args[i], nodes[i] = Py_None;
        }
    }
    int64_t size = bytes_of(arrays[0]);
    return size >= 0 && size < LARGE && (size < number(late) || truth(AT(op, o.fuses)) == 0);
}

static PyObject *applied(PyObject *python, PyObject *const *words, Py_ssize_t count)
{
    PyObject *arrays[3] = {NULL}, *nodes[2], *out, *node = NULL, *tensor = NULL;
    Py_ssize_t many = count - 1;
    if (!quick(words[0], words + 1, many, arrays + 1, nodes)) {
        if (PyErr_Occurred()) PyErr_Clear();
        return PyObject_Vectorcall(python, words, count, NULL);
    }
    for (Py_ssize_t i = 0; i < many; i++) Py_INCREF(arrays[i + 1]), Py_INCREF(nodes[i]);
    out = PyObject_Vectorcall(AT(words[0], o.on_numpy), arrays + 1, many | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (out != NULL && !is_array(out)) Py_SETREF(out, PyObject_CallOneArg(asarray, out));
    if (out == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = taken(), *on = PyObject_CallOneArg(passed_on, error); /* a signal handler's goes on to the program */
        if (on != NULL) tensor = PyObject_Vectorcall(python, words, count, NULL); /* others: it is run again, and explained */
        Py_XDECREF(error);
        Py_XDECREF(on);
    } else if (out != NULL && (node = node_of(words[0], arrays + 1, nodes, many, out)) != NULL &&
               (tensor = ((PyTypeObject *)Tensor)->tp_alloc((PyTypeObject *)Tensor, 0)) != NULL) {
        put_new(tensor, x.array, out);
        put_new(tensor, x.node, node);
    }
    for (Py_ssize_t i = 0; i < many; i++) Py_DECREF(arrays[i + 1]), Py_DECREF(nodes[i]);
    Py_XDECREF(out);
    Py_XDECREF(node);
    return tensor;
}

static PyObject *unary(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    return counted(count, 2) ? applied(py_unary, words, 2) : NULL;
}

static PyObject *binary(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    return counted(count, 3) ? applied(py_binary, words, 3) : NULL;
}

static int bound_dispatch(PyObject *from)
{
    PyObject *kinds = PyDict_GetItemString(from, "floats");
    struct { const char *name; PyObject **into; } all[] = {
        {"Tensor", &Tensor}, {"Parameter", &Parameter}, {"dispatch", &dispatch}, {"behind", &behind},
        {"unary", &py_unary}, {"binary", &py_binary}, {"passed_on", &passed_on},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (given(from, all[i].name, all[i].into) < 0) return -1;
    if (kinds == NULL || !PyTuple_CheckExact(kinds) || PyTuple_GET_SIZE(kinds) != 3 || !PyDict_CheckExact(dispatch)) {
        PyErr_SetString(PyExc_TypeError, "bind() misses floats");
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        Py_INCREF(PyTuple_GET_ITEM(kinds, i));
        Py_XSETREF(floats[i], PyTuple_GET_ITEM(kinds, i));
    }
    SLOT(x.array, Tensor, "array") SLOT(x.node, Tensor, "node") SLOT(b_active, (PyObject *)Py_TYPE(bus), "active")
    SLOT(o.fuses, Op, "fuses")
    return 0;
}
