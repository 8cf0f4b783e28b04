/* A gradient: `begin_backward` and `finish_backward`. Included by `core.c`. */

/* The shape and dtype of each of the arguments that takes a gradient, None for the others. */
static PyObject *expected(PyObject *inputs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(inputs);
    PyObject *outputs = PyList_New(count);
    for (Py_ssize_t i = 0; outputs != NULL && i < count; i++) {
        PyObject *parent = PyTuple_GET_ITEM(inputs, i), *one = NULL;
        int flows = parent == Py_None ? 0 : requires_of(parent);
        if (flows > 0) {
            PyObject *shape = PyObject_GetAttr(parent, s_shape), *dtype = PyObject_GetAttr(parent, s_dtype);
            if (shape != NULL && dtype != NULL) one = PyTuple_Pack(2, shape, dtype);
            Py_XDECREF(shape);
            Py_XDECREF(dtype);
        } else if (flows == 0)
            one = Py_NewRef(Py_None);
        if (one == NULL) Py_CLEAR(outputs);
        else PyList_SET_ITEM(outputs, i, one);
    }
    return outputs;
}

static PyObject *begin_backward(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (!counted(count, 3)) return NULL;
    PyObject *node = words[0], *g = words[1], *sources = words[2], *came, *back = NULL, *value, *number_of;
    if ((PyObject *)Py_TYPE(node) != Watched || AT(node, w.id) == NULL || !PyTuple_CheckExact(AT(node, n.inputs)))
        return PyObject_Vectorcall(py_begin_backward, words, 3, NULL);
    came = PyDict_GetItemWithError(sources, node);
    if (came != NULL) {
        Py_INCREF(came);
        if (PyDict_DelItem(sources, node) < 0) { Py_DECREF(came); return NULL; }
    } else if (PyErr_Occurred()) return NULL;
    if (number(AT(node, w.id)) == 0) goto silent;
    if ((value = PyObject_GetAttr(node, s_role)) == NULL) goto failed;
    int role = truth(value), traced = role ? 0 : level();
    Py_DECREF(value);
    if (role < 0 || traced < 0) goto failed;
    if (role || !traced) goto silent;
    if ((back = ((PyTypeObject *)Backward)->tp_alloc((PyTypeObject *)Backward, 0)) == NULL) goto failed;
    put_new(back, n.op, AT(node, n.op));
    put_new(back, n.kwargs, AT(node, n.kwargs));
    put_new(back, b.twin, node);
    put_new(back, b.call, AT(node, w.call));
    put_new(back, n.code, AT(node, n.code));
    put_new(back, n.lasti, AT(node, n.lasti));
    put_new(back, b.iteration, AT(iteration, i_index));
    value = came == NULL ? PyTuple_Pack(1, Py_None) : PySequence_Tuple(came);
    if (value == NULL) goto failed;
    put(back, n.inputs, value);
    put_new(back, n.shape, Py_None);
    put_new(back, n.dtype, Py_None);
    put_new(back, b.made, Py_None);
    put_new(back, b.place, Py_None);
    put_new(back, b.fates, Py_None);
    put_new(back, b.duration, zero);
    put_new(back, b.nbytes, zero);
    put_new(back, b.start, zero);
    put_new(back, b.id, zero);
    if (truth(AT(switches, any_switch))) {
        PyObject *silent = PyObject_CallMethodOneArg(switches, s_silent, back);
        int quiet = silent == NULL ? -1 : truth(silent);
        Py_XDECREF(silent);
        if (quiet < 0) goto failed;
        if (quiet) goto silent;
    }
    if ((number_of = PyIter_Next(ids)) == NULL) goto failed;
    put(back, b.id, number_of);
    if ((value = PyList_CheckExact(g) ? PyList_AsTuple(g) : PyTuple_Pack(1, g)) == NULL) goto failed;
    put(back, b.arrays, value);
    if ((value = expected(AT(node, n.inputs))) == NULL) goto failed;
    put(back, b.outputs, value);
    if (start(back, b.start) < 0) goto failed;
    Py_XDECREF(came);
    return back;
silent:
    Py_XDECREF(came);
    Py_XDECREF(back);
    Py_RETURN_NONE;
failed:
    Py_XDECREF(came);
    Py_XDECREF(back);
    return NULL;
}

/* Whether each gradient can be told here: an array, one that was put off, or none. */
static int plain_results(PyObject *result, PyObject *inputs)
{
    if (!PyTuple_CheckExact(result) || !PyTuple_CheckExact(inputs)) return 0;
    if (PyTuple_GET_SIZE(result) != PyTuple_GET_SIZE(inputs)) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(result); i++) {
        PyObject *one = PyTuple_GET_ITEM(result, i);
        if (!(is_array(one) || one == Py_None || (PyObject *)Py_TYPE(one) == Product)) return 0;
    }
    return 1;
}

static PyObject *finish_backward(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (!counted(count, 2)) return NULL;
    PyObject *back = words[0], *result = words[1], *twin, *value;
    if ((PyObject *)Py_TYPE(back) != Backward || (twin = AT(back, b.twin)) == NULL || !is_node(twin) ||
        !plain_results(result, AT(twin, n.inputs)))
        return PyObject_Vectorcall(py_finish_backward, words, 2, NULL);
    PyObject *ended = now(), *gone = Py_NewRef(nothing), *born = Py_NewRef(nothing), *first = NULL;
    PyObject *useful = NULL, *outputs = NULL, *inputs = Py_NewRef(AT(twin, n.inputs));
    if (ended == NULL || (value = PyNumber_Subtract(ended, AT(back, b.start))) == NULL) goto failed;
    put(back, b.duration, value);
    int following = truth(AT(bus, s.buffers));
    if (following && PyObject_Size(AT(memory, m.waiting)) > 0) Py_SETREF(gone, before_of(back));
    if (gone == NULL) goto failed;
    Py_ssize_t many = PyTuple_GET_SIZE(result);
    int64_t size = 0;
    if ((useful = PyTuple_New(many)) == NULL || (outputs = PyList_New(many)) == NULL) goto failed;
    for (Py_ssize_t i = 0; i < many; i++) {
        PyObject *g = PyTuple_GET_ITEM(result, i), *parent = PyTuple_GET_ITEM(inputs, i), *shape, *dtype, *pair;
        int flows = g == Py_None || parent == Py_None ? 0 : requires_of(parent);
        if (flows < 0) goto failed;
        if (!flows) {
            PyTuple_SET_ITEM(useful, i, Py_NewRef(Py_None));
            PyList_SET_ITEM(outputs, i, Py_NewRef(Py_None));
            continue;
        }
        PyTuple_SET_ITEM(useful, i, Py_NewRef(g));
        shape = PyObject_GetAttr(g, s_shape), dtype = PyObject_GetAttr(g, s_dtype);
        pair = shape == NULL || dtype == NULL ? NULL : PyTuple_Pack(2, shape, dtype);
        Py_XDECREF(shape);
        Py_XDECREF(dtype);
        if (pair == NULL) goto failed;
        PyList_SET_ITEM(outputs, i, pair);
        size += bytes_of(g);
        if (PyErr_Occurred()) goto failed;
        if (first == NULL) first = pair;
        if (following && is_array(g)) {
            PyObject *buffer = born_of(g, s_gradients, back, AT(back, b.id));
            if (buffer == NULL) goto failed;
            if (buffer != Py_None) {
                PyObject *one = PyTuple_Pack(1, buffer), *more = one == NULL ? NULL : PySequence_Concat(born, one);
                Py_XDECREF(one);
                Py_SETREF(born, more);
            }
            Py_DECREF(buffer);
            if (born == NULL) goto failed;
        }
    }
    if (PyObject_Size(gone) > 0 || PyTuple_GET_SIZE(born)) {
        if ((value = PyTuple_Pack(3, gone, born, nothing)) == NULL) goto failed;
        put(back, b.fates, value);
        if (PyObject_Size(AT(bus, s.buffer)) > 0) {
            if ((value = PyObject_CallMethodOneArg(memory, s_tell, back)) == NULL) goto failed;
            Py_DECREF(value);
        }
    }
    if (first == NULL) {
        put_new(back, n.shape, nothing);
        put_new(back, n.dtype, AT(twin, n.dtype));
    } else {
        put_new(back, n.shape, PyTuple_GET_ITEM(first, 0));
        put_new(back, n.dtype, PyTuple_GET_ITEM(first, 1));
    }
    put(back, b.outputs, outputs);
    outputs = NULL;
    if ((value = PyLong_FromLongLong(size)) == NULL) goto failed;
    put(back, b.nbytes, value);
    if (many == 1) put_new(back, b.made, PyTuple_GET_ITEM(useful, 0));
    else put_new(back, b.made, useful);
    Py_CLEAR(useful);
    Py_CLEAR(gone);
    Py_CLEAR(born);
    if (tell(s.op_finish, s_op_finish, back) < 0) goto failed;
    put_new(back, b.made, Py_None);
    put_new(back, b.arrays, Py_None);
    put_new(back, b.fates, Py_None);
    Py_DECREF(ended);
    Py_DECREF(inputs);
    Py_RETURN_NONE;
failed:
    Py_XDECREF(ended);
    Py_XDECREF(gone);
    Py_XDECREF(born);
    Py_XDECREF(useful);
    Py_XDECREF(outputs);
    Py_XDECREF(inputs);
    return NULL;
}
