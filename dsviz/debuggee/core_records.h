/* An op as a packed record in the ring: `Like.same_attrs`, `RingOutlet.ran` and `wire.packed`. Included by `core.c`. */

/* Write a packed record, with its length before it, where nothing waits and there is room: 1, 0 left to Python, -1 failed. */
static int put_into(PyObject *outlet, const void *record, int64_t size)
{
    PyObject *ring = AT(outlet, o.ring), *waiting = AT(outlet, o.waiting), *after;
    Py_buffer view;
    if (!is(ring, Ring) || !PyList_CheckExact(waiting) || PyList_GET_SIZE(waiting)) return 0;
    int64_t head = number(AT(ring, r.head)), capacity = number(AT(ring, r.capacity));
    if (head < 0 || capacity <= 0 || head + size > number(AT(ring, r.limit))) return 0;
    int64_t place = HEADER + head % capacity;
    if (place + size > number(AT(ring, r.end))) return 0;
    if ((after = PyLong_FromLongLong(head + size)) == NULL) return -1;
    if (PyObject_GetBuffer(AT(ring, r.map), &view, PyBUF_WRITABLE) < 0) {
        Py_DECREF(after);
        return -1;
    }
    int room = place + size <= view.len;
    if (room) {
        memcpy((char *)view.buf + place, record, size);
        __atomic_store_n((uint64_t *)view.buf + HEAD, (uint64_t)(head + size), __ATOMIC_RELEASE);
        put_new(ring, r.head, after);
    }
    PyBuffer_Release(&view);
    Py_DECREF(after);
    return room;
}

/* Whether the attributes in `some` go on from `at` of those that were told; how many there are then, -1: no. */
static Py_ssize_t same_from(PyObject *some, PyObject *told, Py_ssize_t at)
{
    Py_ssize_t place = 0;
    PyObject *name, *value;
    if (some == NULL || some == Py_None) return at;
    if (!PyDict_CheckExact(some)) return -1;
    while (PyDict_Next(some, &place, &name, &value)) {
        if (at >= PyTuple_GET_SIZE(told) || PyTuple_GET_ITEM(told, at) != name || PyTuple_GET_ITEM(told, at + 1) != value)
            return -1;
        at += 2;
    }
    return at;
}

/* `Like.same_attrs` where it is asked, and whether there is nothing else to say of the attributes. */
static int attributes_told(PyObject *like, PyObject *scalars, PyObject *kwargs)
{
    int plain = PyDict_CheckExact(kwargs) && PyDict_GET_SIZE(kwargs) == 0;
    if (plain && scalars == Py_None) return PyObject_Size(AT(like, k.attrs)) == 0;
    if (plain && PyDict_CheckExact(scalars) && PyDict_GET_SIZE(scalars) == 1) {
        PyObject *value = PyDict_GetItemWithError(scalars, AT(like, k.name));
        if (value != NULL && value == AT(like, k.value)) return 1;
        if (value == NULL) PyErr_Clear();
    }
    PyObject *told = AT(like, k.given);
    if (told == NULL || !PyTuple_CheckExact(told)) return 0;
    Py_ssize_t at = same_from(scalars, told, 0);
    if (at >= 0) at = same_from(kwargs, told, at);
    return at == PyTuple_GET_SIZE(told);
}

/* A record that is being written: its head, the words behind it, and how many of each sort there are. */
typedef struct {
    uint32_t words[10 + MOST_WORDS]; /* the first ten: length, head, six numbers, and the time in two */
    int count, inputs, released, made, saved;
    int plain; /* whether what it made has its kind's bytes */
    uint32_t born; /* what it made, if it is one */
} Record;

static int add(Record *record, int64_t word)
{
    if (word < 0 || word > UINT32_MAX || record->count >= MOST_WORDS) return 0;
    record->words[10 + record->count++] = (uint32_t)word;
    return 1;
}

/* Those of a list of buffers, as `fates` holds three; NULL where it is none. */
static PyObject **buffers(PyObject *some, Py_ssize_t *count)
{
    if (!PyList_CheckExact(some) && !PyTuple_CheckExact(some)) return NULL;
    PyObject **items = PySequence_Fast_ITEMS(some);
    *count = Py_SIZE(some);
    for (Py_ssize_t i = 0; i < *count; i++)
        if (!is(items[i], Buffer)) return NULL;
    return *count ? items : &zero;
}

/* What befell buffers until a node had run. 0: it does not fit. */
static int fates_of(Record *record, PyObject *fates, PyObject *like)
{
    Py_ssize_t released, made, saved;
    if (fates == Py_None) return 1;
    if (!PyTuple_CheckExact(fates) || PyTuple_GET_SIZE(fates) != 3) return 0;
    PyObject **gone = buffers(PyTuple_GET_ITEM(fates, 0), &released);
    PyObject **born = buffers(PyTuple_GET_ITEM(fates, 1), &made);
    PyObject **kept = buffers(PyTuple_GET_ITEM(fates, 2), &saved);
    if (gone == NULL || born == NULL || kept == NULL || made > 15 || saved > 15 || released > MOST_WORDS) return 0;
    for (Py_ssize_t i = 0; i < released; i++)
        if (!add(record, number(AT(gone[i], u.id)))) return 0;
    for (Py_ssize_t i = 0; i < saved; i++)
        if (!add(record, number(AT(kept[i], u.id)))) return 0;
    for (Py_ssize_t i = 0; i < made; i++) {
        PyObject *category = PyDict_GetItemWithError(category_of, AT(born[i], u.category));
        int64_t id = number(AT(born[i], u.id)), size = number(AT(born[i], u.nbytes));
        if (category == NULL || id < 0) return 0;
        id = id << 4 | truth(AT(born[i], u.reused)) << 3 | number(category);
        if (!add(record, id) || !add(record, size)) return 0;
        record->plain = size == number(AT(like, k.nbytes));
        record->born = (uint32_t)id;
    }
    record->released = (int)released, record->made = (int)made, record->saved = (int)saved;
    return 1;
}

/* The same with a place for each of a few words, where there are no more. */
static void shortened(Record *record)
{
    uint32_t small[7] = {0}, *rest = record->words + 10;
    if (record->inputs < 1 || record->inputs > 3 || record->released > 2 || record->made > 1 || record->saved > 1) return;
    if (record->made && !record->plain) return;
    for (int i = 0; i < record->inputs; i++) small[i] = *rest++;
    for (int i = 0; i < record->released; i++) small[3 + i] = *rest++;
    if (record->saved) small[5] = *rest++;
    if (record->made) small[6] = record->born;
    memcpy(record->words + 10, small, sizeof small);
    record->count = 7;
    record->words[1] = MARK | SMALL << 8 | (uint32_t)record->inputs << 16;
}

/* What there is to say of a node of a known kind, as `wire.packed` says it. 0: it does not fit. */
static int told_of(Record *record, PyObject *node, int back, PyObject *like, int64_t id, int64_t began)
{
    PyObject *sources = AT(node, n.inputs), *call = AT(node, back ? b.call : w.call), *twin = AT(node, back ? b.twin : w.twin);
    record->count = record->inputs = record->released = record->made = record->saved = record->plain = 0;
    if (!PyTuple_CheckExact(sources) || PyTuple_GET_SIZE(sources) > MOST_INPUTS) return 0;
    record->inputs = (int)PyTuple_GET_SIZE(sources);
    int64_t start = began < 0 ? -1 : number(AT(node, back ? b.start : w.start)) - began;
    int64_t numbers[] = {id, number(AT(like, k.number)),
                         call == Py_None ? 0 : is(call, ModuleCall) ? number(AT(call, c.id)) : -1,
                         twin == Py_None ? 0 : id_of(twin),
                         number(AT(node, back ? b.iteration : w.iteration)),
                         number(AT(node, back ? b.duration : w.duration))};
    for (int i = 0; i < 6; i++) {
        if (numbers[i] < 0 || numbers[i] > UINT32_MAX) return 0;
        record->words[2 + i] = (uint32_t)numbers[i];
    }
    if (start < 0) return 0;
    record->words[8] = (uint32_t)start, record->words[9] = (uint32_t)(start >> 32);
    for (int i = 0; i < record->inputs; i++) {
        PyObject *source = PyTuple_GET_ITEM(sources, i);
        if (!add(record, source == Py_None ? 0 : is(source, Backward) ? number(AT(source, b.id)) : id_of(source))) return 0;
    }
    if (!fates_of(record, AT(node, back ? b.fates : w.fates), like)) return 0;
    record->words[1] = MARK | (uint32_t)record->inputs << 8 | (uint32_t)record->released << 16 |
                       (uint32_t)record->made << 24 | (uint32_t)record->saved << 28;
    shortened(record);
    record->words[0] = 36 + 4 * (uint32_t)record->count;
    return 1;
}

/* `RingOutlet.ran` where the record has room: 1 written, 0 left to Python, -1 failed. */
static int packed(PyObject *outlet, PyObject *node, int back, PyObject *like, int64_t id, int64_t began)
{
    Record record;
    if (!told_of(&record, node, back, like, id, began)) return 0;
    return put_into(outlet, record.words, record.words[0] + 4);
}
