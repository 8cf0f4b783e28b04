/* What the tracer does before and after an op, compiled: `Tracer._op_start` and `_op_finish`, `Lane.find` and
   `RingOutlet.ran`, as they are written there.

   Each takes the way that nearly every op goes and leaves any other to the method of Python it stands for, before it has
   told anything. Whoever changes one changes the other; `tests/test_core.py` runs both. */

#include "slots.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian"
#endif

enum { HEAD = 8, NODE = 24, PLACE = 25, HEADER = 4096, SAMPLE = 15, BACKWARD = 1, OPTIMIZER = 2, MARK = 0xC1, SMALL = 251, TURN = 253, MOST_INPUTS = 250, MOST_WORDS = 255 };

static PyObject *Watched, *Backward, *Node, *Buffer, *ModuleCall, *Tracer, *Lane, *Spot, *Site, *Like, *Ring, *Loop;
static PyObject *category_of, *zero;

static struct { Py_ssize_t op, inputs, kwargs, code, lasti, requires, shape, dtype; } n;
static struct { Py_ssize_t arrays, call, duration, fates, id, iteration, made, outputs, phase, place, saved_bytes, scalars, start, twin; } w;
static struct { Py_ssize_t arrays, call, duration, fates, id, iteration, made, outputs, place, start, twin; } b;
static struct { Py_ssize_t category, id, nbytes, reused; } u;
static struct { Py_ssize_t id, code, lasti; } c;
static struct { Py_ssize_t owner, lane, lanes, level, began, values; } t;
static struct { Py_ssize_t tracer, outlet, decided, pending, framed, spot, before, sites, spots, walker, packs, cost; } l;
static struct { Py_ssize_t lane, what, frame, place, like, back; } p;
static struct { Py_ssize_t depth, chain, around, spot; } e;
static struct { Py_ssize_t number, shape, dtype, nbytes, saved, outputs, attrs, given, name, value; } k;
static struct { Py_ssize_t ring, waiting, summarizes; } o;
static struct { Py_ssize_t map, head, capacity, limit, end, closed, lost; } r;
static struct { Py_ssize_t open, left, moved; } q;
static struct { Py_ssize_t site, turn, told; } g;
static Py_ssize_t calls;

#define NAMES(X) X(flush) X(_turn) X(find) X(spot_at) X(id) X(_op_start) X(_op_finish) X(_other) X(_spot_of_twin) X(_look_before) X(_look_after)
NAMES(NAMED)

static inline int is(PyObject *object, PyObject *type) { return object != NULL && (PyObject *)Py_TYPE(object) == type; }

/* The time in nanoseconds, -1 with an exception. */
static int64_t nanoseconds(void)
{
    PyObject *value = now();
    int64_t time = value == NULL ? -1 : number(value);
    Py_XDECREF(value);
    return time;
}

/* The number of a node, of whatever kind; -1 with an exception. */
static int64_t id_of(PyObject *node)
{
    if (is(node, Watched) && AT(node, w.id) != NULL) return number(AT(node, w.id));
    PyObject *id = PyObject_GetAttr(node, s_id);
    int64_t value = id == NULL ? -1 : number(id);
    Py_XDECREF(id);
    return value;
}

/* `Tracer.lane`, a new reference. */
static PyObject *lane_of(PyObject *tracer)
{
    unsigned long me = PyThread_get_thread_ident();
    PyObject *owner = AT(tracer, t.owner), *lane = NULL, *key;
    if (owner != NULL && PyLong_Check(owner) && PyLong_AsUnsignedLongMask(owner) == me)
        return Py_XNewRef(AT(tracer, t.lane));
    if ((key = PyLong_FromUnsignedLong(me)) == NULL) return NULL;
    if (PyDict_CheckExact(AT(tracer, t.lanes))) lane = Py_XNewRef(PyDict_GetItemWithError(AT(tracer, t.lanes), key));
    if (lane == NULL && !PyErr_Occurred()) lane = PyObject_CallMethodOneArg(tracer, s__other, key);
    Py_DECREF(key);
    return lane;
}

/* Whether the frames from `frame` on are those of a site; takes the frame over. */
static int same_frames(PyObject *frame, PyObject *code, int64_t instruction, PyObject *chain)
{
    Py_ssize_t i = 0, count = PyTuple_GET_SIZE(chain);
    while (frame != NULL) {
        PyObject *mine = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), *outer;
        int same = mine == code && instruction_of(frame) == instruction;
        Py_DECREF(mine);
        if (!same || i == count) {
            Py_DECREF(frame);
            return same;
        }
        PyObject *next = PyTuple_GET_ITEM(chain, i++);
        code = PyTuple_GET_ITEM(next, 0), instruction = number(PyTuple_GET_ITEM(next, 1));
        outer = (PyObject *)PyFrame_GetBack((PyFrameObject *)frame);
        Py_DECREF(frame);
        frame = outer;
    }
    return 0;
}

/* `Lane.find`: the spot of a forward node, a new reference. */
static PyObject *find(PyObject *lane, PyObject *node)
{
    PyObject *call = AT(node, w.call), *op = AT(node, n.op), *code = AT(node, n.code), *lasti = AT(node, n.lasti);
    PyObject *around = zero, *key, *found, *address;
    if (call != Py_None) {
        PyObject *open = AT(AT(lane, l.walker), calls);
        if (!is(call, ModuleCall) || !PyDict_CheckExact(open)) goto python;
        around = PyDict_GetItemWithError(open, AT(call, c.id));
        if (around == NULL) {
            if (PyErr_Occurred()) return NULL;
            goto python; /* it began while nobody looked */
        }
        if (AT(call, c.code) == code && number(AT(call, c.lasti)) == number(lasti)) {
            if ((key = PyTuple_Pack(2, around, op)) == NULL) return NULL;
            found = Py_XNewRef(PyDict_GetItemWithError(AT(lane, l.spots), key));
            Py_DECREF(key);
            if (found != NULL || PyErr_Occurred()) return found;
            goto python;
        }
    }
    if ((address = PyLong_FromVoidPtr(code)) == NULL) return NULL;
    key = PyTuple_Pack(3, address, lasti, op);
    Py_DECREF(address);
    if (key == NULL) return NULL;
    found = Py_XNewRef(PyDict_GetItemWithError(AT(lane, l.sites), key));
    Py_DECREF(key);
    if (found == NULL && PyErr_Occurred()) return NULL;
    if (is(found, Site) && number(AT(found, e.around)) == number(around) && PyTuple_CheckExact(AT(found, e.chain))) {
        int64_t depth = number(AT(found, e.depth)) - 1; /* there is no frame of `find` here */
        PyObject *frame = depth < 0 ? NULL : frame_at(depth);
        if (frame == NULL) PyErr_Clear(); /* called in another way, there are fewer frames */
        else if (same_frames(frame, code, number(lasti), AT(found, e.chain))) {
            PyObject *spot = Py_XNewRef(AT(found, e.spot));
            Py_DECREF(found);
            return spot;
        }
    }
    Py_XDECREF(found);
python:
    return PyObject_CallMethodOneArg(lane, s_find, node);
}

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

/* `RingOutlet.turn`, or what it stands for. */
static int turned(PyObject *tracer, PyObject *lane, PyObject *loop, int64_t index)
{
    int64_t site = number(AT(loop, g.site)), time = nanoseconds(), began = number(AT(tracer, t.began));
    if (time < 0) return -1;
    if (site >= 0 && site <= UINT32_MAX && index >= 0 && index <= INT32_MAX && began >= 0 && time >= began) {
        time -= began;
        uint32_t record[] = {24, MARK | TURN << 8, (uint32_t)site, 0, (uint32_t)index, (uint32_t)time, (uint32_t)(time >> 32)};
        int done = put_into(AT(lane, l.outlet), record, sizeof record);
        if (done) return done < 0 ? -1 : 0;
    }
    PyObject *number_of = PyLong_FromLongLong(index), *done = NULL;
    if (number_of != NULL) done = PyObject_CallMethodObjArgs(lane, s__turn, AT(loop, g.site), number_of, NULL);
    Py_XDECREF(number_of);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* `Pending.flush`: tell the turns that began since the last time. */
static int flush(PyObject *tracer, PyObject *lane)
{
    PyObject *pending = AT(lane, l.pending), *open = AT(pending, q.open), *left = AT(pending, q.left), *done;
    if (!PyList_CheckExact(open) || !PyList_CheckExact(left) || PyList_GET_SIZE(left)) {
        done = PyObject_CallMethodNoArgs(pending, s_flush);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    put_new(pending, q.moved, Py_False);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(open); i++) {
        PyObject *loop = PyList_GET_ITEM(open, i), *turn;
        if (!is(loop, Loop)) return PyErr_Format(PyExc_TypeError, "no loop"), -1;
        turn = AT(loop, g.turn);
        int64_t index = number(turn), told = number(AT(loop, g.told)); /* -1 where none was told */
        if (index == told) continue;
        Py_INCREF(loop);
        Py_INCREF(turn);
        /* A turn that does not begin a new execution must not look like one. */
        int failed = told < 0 && index > 0 && turned(tracer, lane, loop, 0) < 0;
        put(loop, g.told, turn);
        failed = failed || turned(tracer, lane, loop, index) < 0;
        Py_DECREF(loop);
        if (failed) return -1;
    }
    return 0;
}

/* Say in the ring's header which node starts: after a crash it is what ran. */
static int breadcrumb(PyObject *lane, int64_t id, PyObject *place)
{
    Py_buffer view;
    PyObject *ring = AT(AT(lane, l.outlet), o.ring);
    if (PyObject_GetBuffer(AT(ring, r.map), &view, PyBUF_WRITABLE) < 0) return -1;
    volatile uint64_t *words = view.buf;
    if (view.len >= HEADER) words[NODE] = (uint64_t)id, words[PLACE] = (uint64_t)number(place);
    PyBuffer_Release(&view);
    return 0;
}

static int spent(PyObject *lane, int64_t since)
{
    int64_t time = nanoseconds(), before = number(AT(lane, l.cost));
    PyObject *cost = time < 0 ? NULL : PyLong_FromLongLong(before + (time - since) * (SAMPLE + 1));
    if (cost == NULL) return PyErr_Occurred() ? -1 : 0;
    put(lane, l.cost, cost);
    return 0;
}

/* Whether two values that are nearly always the same object, or small, are equal. */
static inline int equal(PyObject *a, PyObject *other)
{
    return a == other || (a != NULL && other != NULL && PyObject_RichCompareBool(a, other, Py_EQ) == 1);
}

#include "core_values.h"

static PyObject *left_to_python(PyObject *tracer, PyObject *name, PyObject *kind, PyObject *node)
{
    return PyObject_CallMethodObjArgs(tracer, name, kind, node, NULL);
}

static PyObject *op_start(PyObject *tracer, PyObject *const *words, Py_ssize_t count)
{
    if (count != 2) return PyErr_Format(PyExc_TypeError, "takes a kind and a node"), NULL;
    PyObject *kind = words[0], *node = words[1], *lane = NULL, *spot = NULL, *done, *twin, *id;
    int back = is(node, Backward);
    if (!back && !is(node, Watched)) return left_to_python(tracer, s__op_start, kind, node);
    id = AT(node, back ? b.id : w.id), twin = AT(node, back ? b.twin : w.twin);
    int64_t me = number(id), since = me & SAMPLE ? 0 : nanoseconds();
    if ((lane = lane_of(tracer)) == NULL || since < 0) goto failed;
    if (!is(lane, Lane) || AT(lane, l.packs) != Py_True || me < 0 || (twin != Py_None && !is(twin, Watched))) {
        Py_DECREF(lane);
        return left_to_python(tracer, s__op_start, kind, node);
    }
    put_new(lane, l.decided, zero);
    if (AT(AT(lane, l.pending), q.moved) == Py_True) {
        if (flush(tracer, lane) < 0) goto failed;
    }
    if (twin == Py_None)
        spot = find(lane, node);
    else {
        PyObject *place = AT(twin, w.place);
        if (is(place, Spot) && AT(place, p.lane) == lane && AT(place, p.what) == AT(node, n.op)) spot = Py_NewRef(place);
        else spot = PyObject_CallMethodObjArgs(tracer, s__spot_of_twin, lane, node, twin, NULL);
    }
    if (spot == NULL) goto failed;
    put_new(lane, l.framed, id);
    put_new(lane, l.spot, spot);
    if (AT(node, back ? b.place : w.place) == Py_None) put_new(node, back ? b.place : w.place, spot);
    if (breadcrumb(lane, me, AT(spot, p.place)) < 0) goto failed;
    if (number(AT(tracer, t.level)) == 2 && (takes_leaves(tracer, node, back) || (!back && number(AT(node, w.phase)) == OPTIMIZER))) {
        if ((done = PyObject_CallMethodObjArgs(tracer, s__look_before, lane, node, NULL)) == NULL) goto failed;
        Py_DECREF(done);
    }
    if (since && spent(lane, since) < 0) goto failed;
    Py_DECREF(lane);
    Py_DECREF(spot);
    Py_RETURN_NONE;
failed:
    Py_XDECREF(lane);
    Py_XDECREF(spot);
    return NULL;
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

static PyObject *op_finish(PyObject *tracer, PyObject *const *words, Py_ssize_t count)
{
    if (count != 2) return PyErr_Format(PyExc_TypeError, "takes a kind and a node"), NULL;
    PyObject *kind = words[0], *node = words[1], *lane = NULL, *spot = NULL, *like, *place, *done;
    int back = is(node, Backward);
    if (!back && !is(node, Watched)) return left_to_python(tracer, s__op_finish, kind, node);
    int64_t me = number(AT(node, back ? b.id : w.id)), since = me & SAMPLE ? 0 : nanoseconds();
    if (since < 0) return NULL;
    place = AT(node, back ? b.place : w.place);
    if (!is(place, Spot) || !is(AT(place, p.lane), Lane) || me < 0) goto python;
    lane = Py_NewRef(AT(place, p.lane));
    if (AT(lane, l.tracer) != tracer || AT(lane, l.packs) != Py_True || number(AT(lane, l.framed)) != me) goto python;
    if (!is(AT(lane, l.spot), Spot)) goto python;
    spot = Py_NewRef(AT(lane, l.spot));
    int gradient = back || number(AT(node, w.phase)) == BACKWARD; /* also under `create_graph` */
    like = AT(spot, gradient ? p.back : p.like);
    if (!is(like, Like) || AT(like, k.dtype) != AT(node, n.dtype)) goto python;
    if (!equal(AT(like, k.outputs), AT(node, back ? b.outputs : w.outputs))) goto python;
    if (!gradient) {
        if (place != spot && truth(AT(node, n.requires))) goto python;
        if (!equal(AT(like, k.shape), AT(node, n.shape))) goto python;
        if (number(AT(like, k.saved)) != number(AT(node, w.saved_bytes)) || AT(lane, l.before) != Py_None) goto python;
    }
    if (!attributes_told(like, gradient ? Py_None : AT(node, w.scalars), AT(node, n.kwargs))) goto python;
    int told = packed(AT(lane, l.outlet), node, back, like, me, number(AT(tracer, t.began)));
    if (told < 0) goto failed;
    if (!told) goto python;
    if (number(AT(tracer, t.level)) == 2) {
        int sent = results(tracer, lane, node, back);
        if (sent < 0) goto failed;
        if (!sent) {
            if ((done = PyObject_CallMethodObjArgs(tracer, s__look_after, lane, node, NULL)) == NULL) goto failed;
            Py_DECREF(done);
        }
    }
    if (since && spent(lane, since) < 0) goto failed;
    Py_DECREF(lane);
    Py_DECREF(spot);
    Py_RETURN_NONE;
python:
    PyErr_Clear();
    Py_XDECREF(lane);
    Py_XDECREF(spot);
    return left_to_python(tracer, s__op_finish, kind, node);
failed:
    Py_XDECREF(lane);
    Py_XDECREF(spot);
    return NULL;
}

/* --- binding --- */

static int bound(PyObject *from)
{
    PyObject *Walker = NULL, *Pending = NULL, *Outlet = NULL;
    struct { const char *name; PyObject **into; } all[] = {
        {"Watched", &Watched}, {"Backward", &Backward}, {"Node", &Node}, {"Buffer", &Buffer},
        {"ModuleCall", &ModuleCall}, {"Tracer", &Tracer}, {"Lane", &Lane}, {"Spot", &Spot}, {"Site", &Site},
        {"Like", &Like}, {"RingWriter", &Ring}, {"RingOutlet", &Outlet}, {"Walker", &Walker}, {"Pending", &Pending}, {"Loop", &Loop},
        {"CATEGORY", &category_of}, {"getframe", &getframe},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (given(from, all[i].name, all[i].into) < 0) return -1;
    if (number(PyDict_GetItemString(from, "SMALL_SIZE")) != 64 ||
        number(PyDict_GetItemString(from, "FIXED")) != 36 || number(PyDict_GetItemString(from, "MOST_WORDS")) != MOST_WORDS ||
        number(PyDict_GetItemString(from, "MOST_INPUTS")) != MOST_INPUTS || !PyDict_CheckExact(category_of)) {
        PyErr_SetString(PyExc_TypeError, "records of another version");
        return -1;
    }
    SLOT(n.op, Node, "op") SLOT(n.inputs, Node, "inputs") SLOT(n.kwargs, Node, "kwargs") SLOT(n.code, Node, "code")
    SLOT(n.lasti, Node, "lasti") SLOT(n.requires, Node, "requires") SLOT(n.shape, Node, "shape")
    SLOT(n.dtype, Node, "dtype")
    SLOT(w.arrays, Watched, "arrays") SLOT(w.made, Watched, "made") SLOT(b.arrays, Backward, "arrays")
    SLOT(b.made, Backward, "made")
    SLOT(w.call, Watched, "call") SLOT(w.duration, Watched, "duration") SLOT(w.fates, Watched, "fates")
    SLOT(w.id, Watched, "id") SLOT(w.iteration, Watched, "iteration") SLOT(w.outputs, Watched, "outputs")
    SLOT(w.phase, Watched, "phase") SLOT(w.place, Watched, "place") SLOT(w.saved_bytes, Watched, "saved_bytes")
    SLOT(w.scalars, Watched, "scalars") SLOT(w.start, Watched, "start") SLOT(w.twin, Watched, "twin")
    SLOT(b.call, Backward, "call") SLOT(b.duration, Backward, "duration") SLOT(b.fates, Backward, "fates")
    SLOT(b.id, Backward, "id") SLOT(b.iteration, Backward, "iteration") SLOT(b.outputs, Backward, "outputs")
    SLOT(b.place, Backward, "place") SLOT(b.start, Backward, "start") SLOT(b.twin, Backward, "twin")
    SLOT(u.category, Buffer, "category") SLOT(u.id, Buffer, "id") SLOT(u.nbytes, Buffer, "nbytes")
    SLOT(u.reused, Buffer, "reused")
    SLOT(c.id, ModuleCall, "id") SLOT(c.code, ModuleCall, "code") SLOT(c.lasti, ModuleCall, "lasti")
    SLOT(t.owner, Tracer, "owner") SLOT(t.lane, Tracer, "_lane") SLOT(t.lanes, Tracer, "_lanes")
    SLOT(t.level, Tracer, "level") SLOT(t.began, Tracer, "began")
    SLOT(t.values, Tracer, "_values")
    SLOT(l.tracer, Lane, "tracer") SLOT(l.outlet, Lane, "outlet") SLOT(l.decided, Lane, "decided")
    SLOT(l.pending, Lane, "pending") SLOT(l.framed, Lane, "framed") SLOT(l.spot, Lane, "spot")
    SLOT(l.before, Lane, "before") SLOT(l.sites, Lane, "sites") SLOT(l.spots, Lane, "spots")
    SLOT(l.walker, Lane, "walker") SLOT(l.packs, Lane, "packs") SLOT(l.cost, Lane, "cost")
    SLOT(p.lane, Spot, "lane") SLOT(p.what, Spot, "what") SLOT(p.frame, Spot, "frame") SLOT(p.place, Spot, "place")
    SLOT(p.like, Spot, "like") SLOT(p.back, Spot, "back")
    SLOT(e.depth, Site, "depth") SLOT(e.chain, Site, "chain") SLOT(e.around, Site, "around") SLOT(e.spot, Site, "spot")
    SLOT(k.number, Like, "number") SLOT(k.shape, Like, "shape") SLOT(k.dtype, Like, "dtype")
    SLOT(k.nbytes, Like, "nbytes") SLOT(k.saved, Like, "saved") SLOT(k.outputs, Like, "outputs")
    SLOT(k.attrs, Like, "attrs") SLOT(k.given, Like, "given") SLOT(k.name, Like, "name") SLOT(k.value, Like, "value")
    SLOT(o.ring, Outlet, "ring") SLOT(o.waiting, Outlet, "_waiting") SLOT(o.summarizes, Outlet, "summarizes")
    SLOT(r.map, Ring, "_map") SLOT(r.head, Ring, "head") SLOT(r.capacity, Ring, "capacity")
    SLOT(r.limit, Ring, "_limit") SLOT(r.end, Ring, "_end") SLOT(r.closed, Ring, "closed") SLOT(r.lost, Ring, "_lost")
    SLOT(q.moved, Pending, "moved") SLOT(q.open, Pending, "_open") SLOT(q.left, Pending, "_left")
    SLOT(g.site, Loop, "site") SLOT(g.turn, Loop, "turn") SLOT(g.told, Loop, "told")
    SLOT(calls, Walker, "calls")
    Py_DECREF(Walker);
    Py_DECREF(Pending);
    Py_DECREF(Outlet);
    return bound_values(from);
}

/* bind(objects, clock): what `dsviz.debuggee.core` hands over, once; `clock` None means the system's. */
static PyObject *bind(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(words[0])) return PyErr_Format(PyExc_TypeError, "takes objects and a clock"), NULL;
    if (bound(words[0]) < 0) return NULL;
    PyObject *clock = words[1] == Py_None ? NULL : Py_NewRef(words[1]);
    Py_XSETREF(clock_of, clock);
    Py_RETURN_NONE;
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef start_of = FAST(op_start), finish_of = FAST(op_finish);

/* sinks(tracer): what to subscribe to `op_start` and `op_finish` in the place of the tracer's own. */
static PyObject *sinks(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (count != 1 || !is(words[0], Tracer)) return PyErr_Format(PyExc_TypeError, "takes a tracer"), NULL;
    PyObject *start = PyCFunction_New(&start_of, words[0]), *finish = PyCFunction_New(&finish_of, words[0]);
    PyObject *both = start == NULL || finish == NULL ? NULL : PyTuple_Pack(2, start, finish);
    Py_XDECREF(start);
    Py_XDECREF(finish);
    return both;
}

static PyMethodDef methods[] = {FAST(bind), FAST(sinks), {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "debuggee_core", NULL, -1, methods};

static int named(void)
{
    NAMES(NAME)
    VALUE_NAMES(NAME)
    return (zero = PyLong_FromLong(0)) == NULL ? -1 : 0;
}

PyMODINIT_FUNC PyInit_debuggee_core(void)
{
    return named() < 0 ? NULL : PyModule_Create(&module);
}
