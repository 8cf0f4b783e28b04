/* What becomes of buffers: `Memory.born`, `kept` and `before` of `engine.memory`. Included by `core.c`. */

static int add_bytes(PyObject *size, int sign)
{
    PyObject *held = AT(memory, m.nbytes);
    PyObject *sum = sign > 0 ? PyNumber_Add(held, size) : PyNumber_Subtract(held, size);
    if (sum == NULL) return -1;
    put(memory, m.nbytes, sum);
    return 0;
}

/* `Memory.born`: the new buffer, or None. */
static PyObject *born_of(PyObject *array, PyObject *category, PyObject *node, PyObject *id)
{
    PyObject *base = PyObject_GetAttr(array, s_base);
    if (base == NULL) return NULL;
    Py_DECREF(base);
    if (base != Py_None) return PyObject_CallMethodObjArgs(memory, s_born, array, category, node, NULL);
    PyObject *alive = AT(memory, m.alive), *buffer = NULL, *key = PyLong_FromVoidPtr(array), *known, *value;
    if (key == NULL) return NULL;
    known = PyDict_GetItemWithError(alive, key);
    if (known != NULL && PyWeakref_Check(known) && referred(known) == array) {
        Py_DECREF(key);
        return Py_NewRef(Py_None);
    }
    if (PyErr_Occurred()) goto failed;
    PyObject *words[] = {array, AT(memory, m.wait)};
    buffer = PyObject_Vectorcall(Buffer, words, 2, NULL);
    if (buffer == NULL) goto failed;
    if ((value = PyIter_Next(AT(memory, m.ids))) == NULL) goto failed;
    put(buffer, u.id, value);
    if ((value = PyObject_GetAttr(array, s_nbytes)) == NULL) goto failed;
    put(buffer, u.nbytes, value);
    put_new(buffer, u.key, key);
    put_new(buffer, u.category, category);
    put_new(buffer, u.node, id);
    put_new(buffer, u.told, Py_True);
    put_new(buffer, u.reused, Py_False);
    if (PyDict_SetItem(alive, key, buffer) < 0 || add_bytes(AT(buffer, u.nbytes), 1) < 0) goto failed;
    Py_DECREF(key);
    return buffer;
failed:
    Py_DECREF(key);
    Py_XDECREF(buffer);
    return NULL;
}

/* `Memory.kept`: the buffer that is to be told, or None. */
static PyObject *kept_of(PyObject *array, PyObject *node)
{
    PyObject *base = PyObject_GetAttr(array, s_base);
    if (base == NULL) return NULL;
    Py_DECREF(base);
    if (base == Py_None) {
        PyObject *key = PyLong_FromVoidPtr(array);
        if (key == NULL) return NULL;
        PyObject *known = PyDict_GetItemWithError(AT(memory, m.alive), key);
        Py_DECREF(key);
        if (known == NULL && PyErr_Occurred()) return NULL;
        if (known != NULL && (PyObject *)Py_TYPE(known) == Buffer && referred(known) == array) {
            PyObject *category = AT(known, u.category);
            if (category != s_activations) {
                int same = category == NULL ? 0 : PyObject_RichCompareBool(category, s_activations, Py_EQ);
                if (same < 0) return NULL;
                if (!same) return Py_NewRef(Py_None);
            }
            Py_INCREF(known);
            put_new(known, u.category, s_saved);
            if (truth(AT(known, u.told)) > 0) return known; /* else it is told with its beginning */
            Py_DECREF(known);
            return Py_NewRef(Py_None);
        }
    }
    return PyObject_CallMethodObjArgs(memory, s_kept, array, node, NULL);
}

/* Put back what was taken from the queue, in its order. */
static int back_again(PyObject *waiting, PyObject *later)
{
    for (Py_ssize_t i = PyList_GET_SIZE(later) - 1; i >= 0; i--) {
        PyObject *done = PyObject_CallMethodOneArg(waiting, s_appendleft, PyList_GET_ITEM(later, i));
        if (done == NULL) return -1;
        Py_DECREF(done);
    }
    return 0;
}

/* `Memory.before`: the buffers that were released until an op began. */
static PyObject *before_of(PyObject *node)
{
    PyObject *waiting = AT(memory, m.waiting), *gone = PyList_New(0), *later = PyList_New(0), *buffer = NULL;
    int64_t before = number(AT(memory, m.mark));
    if (gone == NULL || later == NULL) goto failed;
    while (PyObject_Size(waiting) > 0) {
        buffer = PyObject_CallMethodNoArgs(waiting, s_popleft);
        if (buffer == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_IndexError)) goto failed;
            PyErr_Clear(); /* another thread told the last of them */
            break;
        }
        if ((PyObject *)Py_TYPE(buffer) != Buffer || AT(buffer, u.told) != Py_True ||
            AT(buffer, u.key) == NULL) { /* Python tells that */
            PyObject *done = PyObject_CallMethodOneArg(waiting, s_appendleft, buffer), *mark, *rest;
            if (done == NULL) goto failed;
            Py_DECREF(done);
            if (back_again(waiting, later) < 0) goto failed;
            if ((mark = PyLong_FromLongLong(before > 0 ? before : 0)) == NULL) goto failed;
            put(memory, m.mark, mark);
            if ((rest = PyObject_CallMethodOneArg(memory, s_before, node)) == NULL) goto failed;
            done = PySequence_InPlaceConcat(gone, rest);
            Py_DECREF(rest);
            if (done == NULL) goto failed;
            Py_DECREF(done);
            Py_DECREF(buffer);
            Py_DECREF(later);
            return gone;
        }
        if (--before < 0) {
            if (PyList_Append(later, buffer) < 0) goto failed;
        } else {
            PyObject *alive = AT(memory, m.alive), *key = AT(buffer, u.key);
            if (PyList_Append(gone, buffer) < 0 || add_bytes(AT(buffer, u.nbytes), -1) < 0) goto failed;
            if (PyDict_GetItemWithError(alive, key) == buffer) {
                if (PyDict_DelItem(alive, key) < 0) goto failed;
            } else if (PyErr_Occurred()) goto failed;
        }
        Py_CLEAR(buffer);
    }
    if (back_again(waiting, later) < 0) goto failed;
    Py_DECREF(later);
    return gone;
failed:
    Py_XDECREF(gone);
    Py_XDECREF(later);
    Py_XDECREF(buffer);
    return NULL;
}
