/* Level 2: the results of an op as they are sent, `Values.output` where they are small and nothing else is to be said
   of how the op is run again. Included by `core.c`. */

enum { TAIL = 16, SEEN = 30, VALUE = 23, MOST_RESULTS = 4, MOST_DIMENSIONS = 32, LONGEST_TEXT = 200 };

static PyObject *Values, *Told, *Op, *ndarray, *writes, *part_name;
static struct { Py_ssize_t told, largest; } v;
static struct { Py_ssize_t array, iteration, writes; } d;
static Py_ssize_t op_name, w_count;
static int64_t SMALL_VALUE;

#define VALUE_NAMES(X) X(shape) X(dtype) X(str) X(kind) X(nbytes) X(flags) X(c_contiguous) X(tobytes) X(out)
VALUE_NAMES(NAMED)

/* One result: what stands before its bytes, the bytes, and what stands behind them. */
typedef struct {
    unsigned char head[64 + 9 * MOST_DIMENSIONS];
    Py_ssize_t head_size, tail_size;
    PyObject *data;
} Sent;

static void byte_of(Sent *sent, unsigned byte) { sent->head[sent->head_size++] = (unsigned char)byte; }

static void bytes_of(Sent *sent, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) byte_of(sent, (unsigned)(value >> (8 * i)) & 255);
}

/* A whole number as msgpack has it, the shortest way. */
static void whole(Sent *sent, uint64_t value)
{
    if (value < 128) byte_of(sent, (unsigned)value);
    else if (value < 256) byte_of(sent, 0xCC), bytes_of(sent, value, 1);
    else if (value <= UINT16_MAX) byte_of(sent, 0xCD), bytes_of(sent, value, 2);
    else if (value <= UINT32_MAX) byte_of(sent, 0xCE), bytes_of(sent, value, 4);
    else byte_of(sent, 0xCF), bytes_of(sent, value, 8);
}

static int text(Sent *sent, const char *characters, Py_ssize_t count)
{
    if (count > 31) return 0;
    byte_of(sent, 0xA0 | (unsigned)count);
    memcpy(sent->head + sent->head_size, characters, count);
    sent->head_size += count;
    return 1;
}

static struct { PyObject *dtype; char text[16]; Py_ssize_t size; int sent; } kinds[8]; /* the dtypes met last */
static unsigned next_kind;

/* How a dtype is told, 0 where it is not one that is sent: an index of `kinds`, from 1 on. */
static int kind_of(PyObject *dtype)
{
    for (int i = 0; i < 8; i++)
        if (kinds[i].dtype == dtype) return kinds[i].sent ? i + 1 : 0;
    PyObject *name = PyObject_GetAttr(dtype, s_str), *kind = name == NULL ? NULL : PyObject_GetAttr(dtype, s_kind);
    Py_ssize_t size, letters;
    const char *characters = name == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, &size);
    const char *letter = kind == NULL ? NULL : PyUnicode_AsUTF8AndSize(kind, &letters);
    int i = 0;
    if (characters != NULL && letter != NULL && size < 16 && letters == 1) {
        i = (int)(next_kind++ % 8);
        Py_INCREF(dtype);
        Py_XSETREF(kinds[i].dtype, dtype);
        memcpy(kinds[i].text, characters, size);
        kinds[i].size = size;
        kinds[i].sent = strchr("biufc", *letter) != NULL;
        i = kinds[i].sent ? i + 1 : 0;
    }
    Py_XDECREF(name);
    Py_XDECREF(kind);
    return i;
}

/* Whether an array lies in C order, as far as its axes have an order. */
static int in_order(PyObject *array, Py_ssize_t dimensions)
{
    if (dimensions < 2) return 1;
    PyObject *flags = PyObject_GetAttr(array, s_flags);
    PyObject *yes = flags == NULL ? NULL : PyObject_GetAttr(flags, s_c_contiguous);
    int answer = yes == Py_True;
    Py_XDECREF(flags);
    Py_XDECREF(yes);
    return answer;
}

/* An array as a `Seen`, or where another of the node has been, a `Value`. 0: left to Python. */
static int sent_of(Sent *sent, int64_t id, PyObject *array, int index, int first, int64_t largest)
{
    sent->head_size = sent->tail_size = 0, sent->data = NULL;
    if (!is(array, ndarray)) return 0;
    PyObject *shape = PyObject_GetAttr(array, s_shape), *dtype = PyObject_GetAttr(array, s_dtype);
    PyObject *size = PyObject_GetAttr(array, s_nbytes);
    int64_t bytes = number(size);
    int kind = dtype == NULL ? 0 : kind_of(dtype), fits = 0;
    if (shape == NULL || size == NULL || !PyTuple_CheckExact(shape)) goto done;
    Py_ssize_t dimensions = PyTuple_GET_SIZE(shape);
    if (!kind || bytes < 0 || bytes > SMALL_VALUE || bytes > largest || dimensions > 15) goto done;
    if (!in_order(array, dimensions)) goto done;
    byte_of(sent, first ? 0x97 : 0x9A);
    byte_of(sent, first ? SEEN : VALUE);
    whole(sent, (uint64_t)id);
    char name[] = "output 0";
    if (index > 9) goto done;
    name[7] = (char)('0' + index);
    text(sent, name, index < 0 ? 6 : 8);
    text(sent, kinds[kind - 1].text, kinds[kind - 1].size);
    byte_of(sent, 0x90 | (unsigned)dimensions);
    for (Py_ssize_t i = 0; i < dimensions; i++) {
        int64_t extent = number(PyTuple_GET_ITEM(shape, i));
        if (extent < 0) goto done;
        whole(sent, (uint64_t)extent);
    }
    byte_of(sent, 0x90); /* its axes are in order */
    if (bytes < 256) byte_of(sent, 0xC4), bytes_of(sent, bytes, 1);
    else if (bytes <= UINT16_MAX) byte_of(sent, 0xC5), bytes_of(sent, bytes, 2);
    else byte_of(sent, 0xC6), bytes_of(sent, bytes, 4);
    sent->tail_size = first ? 0 : 4;
    sent->data = PyObject_CallMethodNoArgs(array, s_tobytes);
    fits = sent->data != NULL && PyBytes_CheckExact(sent->data) && PyBytes_GET_SIZE(sent->data) == bytes;
done:
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    Py_XDECREF(size);
    return fits;
}

static Py_ssize_t length(Sent *sent) { return sent->head_size + PyBytes_GET_SIZE(sent->data) + sent->tail_size; }

/* Write records for which there is room: 1, 0 where Python has to see to that, -1 failed. */
static int written(PyObject *ring, Sent *all, int count)
{
    static const unsigned char tail[] = {0xC4, 0, 0xC2, 0xA0}; /* no key, not pinned, no file */
    int64_t head = number(AT(ring, r.head)), capacity = number(AT(ring, r.capacity)), end = head;
    Py_buffer view;
    PyObject *lost = AT(ring, r.lost), *after;
    for (int i = 0; i < count; i++) end += (length(&all[i]) + 7) & ~3;
    if (AT(ring, r.closed) != Py_False || !PyDict_CheckExact(lost) || PyDict_GET_SIZE(lost)) return 0;
    if (head < 0 || capacity <= 0 || end > number(AT(ring, r.limit))) return 0;
    int64_t place = HEADER + head % capacity;
    if (place + end - head > number(AT(ring, r.end)) || (after = PyLong_FromLongLong(end)) == NULL) return 0;
    if (PyObject_GetBuffer(AT(ring, r.map), &view, PyBUF_WRITABLE) < 0) {
        Py_DECREF(after);
        return -1;
    }
    uint64_t *words = view.buf;
    int room = place + end - head <= view.len && 2 * (end - (int64_t)words[TAIL]) <= capacity;
    if (room) {
        for (int i = 0; i < count; i++) {
            char *at = (char *)view.buf + place;
            uint32_t size = (uint32_t)length(&all[i]);
            memcpy(at, &size, 4);
            memcpy(at + 4, all[i].head, all[i].head_size);
            memcpy(at + 4 + all[i].head_size, PyBytes_AS_STRING(all[i].data), PyBytes_GET_SIZE(all[i].data));
            memcpy(at + 4 + size - all[i].tail_size, tail, all[i].tail_size);
            place += (size + 7) & ~3;
        }
        __atomic_store_n(words + HEAD, (uint64_t)end, __ATOMIC_RELEASE);
        put_new(ring, r.head, after);
    }
    PyBuffer_Release(&view);
    Py_DECREF(after);
    return room;
}

/* `_plain`: whether an op's record holds an attribute as it is. */
static int plain(PyObject *value)
{
    int overflow = 0;
    if (PyFloat_CheckExact(value) || PyBool_Check(value) || value == Py_None) return 1;
    if (PyLong_CheckExact(value)) return PyLong_AsLongLongAndOverflow(value, &overflow), !overflow;
    if (PyUnicode_CheckExact(value)) return PyUnicode_GetLength(value) <= LONGEST_TEXT;
    if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) > 32) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++)
        if (PyTuple_CheckExact(PyTuple_GET_ITEM(value, i)) || !plain(PyTuple_GET_ITEM(value, i))) return 0;
    return 1;
}

static int all_plain(PyObject *some)
{
    Py_ssize_t place = 0;
    PyObject *name, *value;
    if (some == NULL || some == Py_None) return 1;
    if (!PyDict_CheckExact(some)) return 0;
    while (PyDict_Next(some, &place, &name, &value))
        if (!plain(value)) return 0;
    return 1;
}

/* `_said`: whether the record of a node says all that it takes to run it again. */
static int said(PyObject *node)
{
    PyObject *inputs = AT(node, n.inputs);
    if (!all_plain(AT(node, w.scalars)) || !all_plain(AT(node, n.kwargs))) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); i++) {
        PyObject *source = PyTuple_GET_ITEM(inputs, i), *op;
        if (source == Py_None) continue;
        if (!(is(source, Watched) || is(source, Node)) || (op = AT(source, n.op)) == NULL) return 0;
        if (op != Py_None && (!is(op, Op) || equal(AT(op, op_name), part_name))) return 0;
    }
    return 1;
}

/* What a node has made, as arrays: `Node.out`, which computes a gradient that was put off. A new reference. */
static PyObject *made_by(PyObject *node, PyObject *made)
{
    int arrays = is(made, ndarray);
    if (made != NULL && PyTuple_CheckExact(made)) {
        arrays = 1;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(made); i++)
            arrays = arrays && (is(PyTuple_GET_ITEM(made, i), ndarray) || PyTuple_GET_ITEM(made, i) == Py_None);
    }
    if (arrays) return Py_NewRef(made);
    return PyObject_GetAttr(node, s_out);
}

/* Send what a node has made: 1, 0 left to Python, -1 failed. */
static int results(PyObject *tracer, PyObject *lane, PyObject *node, int back)
{
    PyObject *values = AT(tracer, t.values), *outlet = AT(lane, l.outlet), *ring = AT(outlet, o.ring), *made;
    Sent all[MOST_RESULTS];
    int count = 0, first = 1, answer = 0;
    if (!is(values, Values) || AT(outlet, o.summarizes) != Py_True || !is(ring, Ring)) return 0;
    if (!back && number(AT(node, w.phase)) == 0 && !said(node)) return 0;
    int64_t id = number(AT(node, back ? b.id : w.id)), largest = number(AT(values, v.largest));
    if (id < 0 || (made = made_by(node, AT(node, back ? b.made : w.made))) == NULL) return id < 0 ? 0 : -1;
    int several = PyTuple_CheckExact(made);
    Py_ssize_t many = several ? PyTuple_GET_SIZE(made) : 1;
    for (Py_ssize_t i = 0; i < many; i++) {
        PyObject *array = several ? PyTuple_GET_ITEM(made, i) : made;
        if (array == Py_None && several) continue;
        if (count == MOST_RESULTS || !sent_of(&all[count++], id, array, several ? (int)i : -1, first, largest)) goto done;
        first = 0;
    }
    answer = count ? written(ring, all, count) : 0;
done:
    for (int i = 0; i < count; i++) Py_XDECREF(all[i].data);
    Py_DECREF(made);
    if (!answer) PyErr_Clear();
    return answer;
}

/* `Told.holds`, where nothing has been written since and no other iteration has begun. */
static int holds(PyObject *values, PyObject *source, PyObject *array, PyObject *iteration)
{
    PyObject *id = PyObject_GetAttr(source, s_id), *all = AT(values, v.told), *told = NULL;
    if (id != NULL && all != NULL && PyDict_CheckExact(all)) told = PyDict_GetItemWithError(all, id);
    int same = is(told, Told) && number(AT(told, d.iteration)) == number(iteration) &&
               number(AT(told, d.writes)) == number(AT(writes, w_count)) &&
               number(AT(told, d.array)) == (int64_t)(intptr_t)array;
    Py_XDECREF(id);
    if (PyErr_Occurred()) PyErr_Clear();
    return same;
}

/* Whether a leaf among a node's arguments may have to be sent: `Values.inputs` would do something. */
static int takes_leaves(PyObject *tracer, PyObject *node, int back)
{
    PyObject *values = AT(tracer, t.values), *inputs = AT(node, n.inputs), *arrays = AT(node, back ? b.arrays : w.arrays);
    if (values == Py_None) return 0;
    if (!is(values, Values) || !PyTuple_CheckExact(inputs) || !PyTuple_CheckExact(arrays)) return 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs) && i < PyTuple_GET_SIZE(arrays); i++) {
        PyObject *source = PyTuple_GET_ITEM(inputs, i);
        if (source == Py_None || is(source, Backward)) continue;
        if (!(is(source, Watched) || is(source, Node))) return 1;
        if (AT(source, n.op) != Py_None) continue;
        if (!holds(values, source, PyTuple_GET_ITEM(arrays, i), AT(node, back ? b.iteration : w.iteration))) return 1;
    }
    return 0;
}

static int bound_values(PyObject *from)
{
    struct { const char *name; PyObject **into; } all[] = {
        {"Values", &Values}, {"Told", &Told}, {"Op", &Op}, {"ndarray", &ndarray}, {"writes", &writes}, {"part", &part_name},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (given(from, all[i].name, all[i].into) < 0) return -1;
    if ((SMALL_VALUE = number(PyDict_GetItemString(from, "SMALL"))) < 0) return -1;
    SLOT(v.told, Values, "_told") SLOT(v.largest, Values, "_largest")
    SLOT(d.array, Told, "_array") SLOT(d.iteration, Told, "_iteration") SLOT(d.writes, Told, "_writes")
    SLOT(op_name, Op, "name") SLOT(w_count, (PyObject *)Py_TYPE(writes), "count")
    return 0;
}
