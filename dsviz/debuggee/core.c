/* What the tracer does before and after an op, compiled: `Tracer._op_start` and `_op_finish`, `Lane.find` and
   `RingOutlet.ran`, as they are written there.

   Each takes the way that nearly every op goes and leaves any other to the method of Python it stands for, before it has
   told anything. Whoever changes one changes the other; `tests/test_core.py` runs both. */

#include "slots.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian"
#endif

#include "core_objects.h"
#include "core_records.h"

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

/* bind(objects, clock): what `dsviz.debuggee.core` hands over, once; `clock` None means the system's. */
static PyObject *bind(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(words[0])) return PyErr_Format(PyExc_TypeError, "takes objects and a clock"), NULL;
    if (bound_objects(words[0]) < 0 || bound_values(words[0]) < 0) return NULL;
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
