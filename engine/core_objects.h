/* The engine's objects as the compiled core knows them: types, singletons, where the slots of each lie, and what is asked
   of them everywhere. Included by `core.c`. */

static PyObject *Watched, *Backward, *Node, *Buffer, *Product, *Op, *ndarray, *ModuleCall; /* types */
static PyObject *bus, *memory, *iteration, *switches, *writes, *state, *config, *internal, *ids, *orders, *no_kwargs;
static PyObject *py_begin, *py_finish, *py_begin_backward, *py_finish_backward, *py_leaf, *py_raised, *py_explained, *py_made_up;
static PyObject *settle, *compute, *asarray;
static PyObject *zero, *nothing; /* 0 and () */
static int64_t LARGE, REACH;

/* Offsets: of a node of any kind, of one that is watched, of a backward one, and of the rest. */
static struct { Py_ssize_t op, inputs, kwargs, code, lasti, order, depth, stamp, requires, saved, shape, dtype; } n;
static struct {
    Py_ssize_t arrays, call, duration, fates, id, iteration, made, nbytes, outputs, phase, place, saved_bytes, scalars,
        start, twin;
} w;
static struct { Py_ssize_t arrays, call, duration, fates, id, iteration, made, nbytes, outputs, place, start, twin; } b;
static struct { Py_ssize_t category, id, key, nbytes, node, reused, told; } u;
static struct { Py_ssize_t alive, waiting, mark, nbytes, ids, wait; } m;
static struct { Py_ssize_t op_start, op_finish, buffer, buffers; } s;
static struct { Py_ssize_t arg_names, on_numpy, vjp, cross, saves_args, saves_out, fuses; } o;
static Py_ssize_t i_index, i_closed, w_count, any_switch, call_depth;

#define NAMES(X)                                                                                                    \
    X(__dict__) X(call) X(modules) X(silent) X(phase) X(twin) X(trace_level) X(grad) X(co_filename) X(nbytes) X(base) X(shape) \
    X(dtype) X(id) X(role) X(code) X(lasti) X(requires) X(popleft) X(appendleft) X(before) X(born) X(track) X(tell) \
    X(forward) X(op_start) X(op_finish) X(activations) X(gradients) X(saved) X(kept) X(inputs) X(kwargs) X(op)
NAMES(NAMED)

static inline int is_node(PyObject *node) { return (PyObject *)Py_TYPE(node) == Watched || (PyObject *)Py_TYPE(node) == Node; }
static inline int is_array(PyObject *array) { return (PyObject *)Py_TYPE(array) == ndarray; }

/* An attribute of a node of any kind, a new reference. */
static PyObject *of(PyObject *node, Py_ssize_t slot, PyObject *name)
{
    if ((PyObject *)Py_TYPE(node) == Watched && AT(node, slot) != NULL) return Py_NewRef(AT(node, slot));
    return PyObject_GetAttr(node, name);
}

/* Whether a gradient flows to a node; -1 with an exception. */
static int requires_of(PyObject *node)
{
    if (is_node(node)) return truth(AT(node, n.requires));
    PyObject *found = PyObject_GetAttr(node, s_requires);
    int yes = found == NULL ? -1 : truth(found);
    Py_XDECREF(found);
    return yes;
}

/* How many modules are being called in call `call`; -1 for what is none. */
static inline int64_t depth_in(PyObject *call)
{
    if (call == Py_None) return 0;
    return (PyObject *)Py_TYPE(call) == ModuleCall ? number(AT(call, call_depth)) + 1 : -1;
}

static int64_t bytes_of(PyObject *array)
{
    PyObject *found = PyObject_GetAttr(array, s_nbytes);
    int64_t size = found == NULL ? -1 : PyLong_AsLongLong(found);
    Py_XDECREF(found);
    return size;
}

static int level(void)
{
    PyObject *now = NULL, *found;
    if (PyContextVar_Get(config, NULL, &now) < 0 || now == NULL) return -1;
    found = PyObject_GetAttr(now, s_trace_level);
    Py_DECREF(now);
    long level = found == NULL ? -1 : PyLong_AsLong(found);
    Py_XDECREF(found);
    return (int)level;
}

/* Call the sinks of a kind; one that raises is detached, as `Bus.failed` says. */
static int tell(Py_ssize_t sinks_of, PyObject *kind, PyObject *node)
{
    PyObject *sinks = AT(bus, sinks_of);
    if (sinks == NULL || !PyTuple_CheckExact(sinks)) return 0;
    Py_INCREF(sinks);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sinks); i++) {
        PyObject *sink = PyTuple_GET_ITEM(sinks, i), *words[] = {kind, node};
        PyObject *result = PyObject_Vectorcall(sink, words, 2, NULL);
        if (result == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_Exception)) goto failed;
            PyObject *error = taken();
            result = PyObject_CallFunctionObjArgs(py_raised, kind, sink, error, NULL);
            Py_XDECREF(error);
            if (result == NULL) goto failed;
        }
        Py_DECREF(result);
    }
    Py_DECREF(sinks);
    return 0;
failed:
    Py_DECREF(sinks);
    return -1;
}

/* Take all of them over from `engine.core`. */
static int bound_objects(PyObject *from)
{
    struct { const char *name; PyObject **into; } all[] = {
        {"Watched", &Watched}, {"Backward", &Backward}, {"Node", &Node}, {"Buffer", &Buffer}, {"Product", &Product},
        {"Op", &Op},        {"ndarray", &ndarray}, {"bus", &bus}, {"memory", &memory}, {"iteration", &iteration}, {"switches", &switches},
        {"writes", &writes}, {"state", &state}, {"config", &config}, {"internal", &internal}, {"ids", &ids},
        {"order", &orders}, {"NO_KWARGS", &no_kwargs}, {"begin", &py_begin}, {"finish", &py_finish},
        {"begin_backward", &py_begin_backward}, {"finish_backward", &py_finish_backward}, {"leaf", &py_leaf},
        {"raised", &py_raised}, {"made_up", &py_made_up}, {"ModuleCall", &ModuleCall}, {"explained", &py_explained}, {"settle", &settle},
        {"computed", &compute}, {"asarray", &asarray}, {"getframe", &getframe},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (given(from, all[i].name, all[i].into) < 0) return -1;
    LARGE = number(PyDict_GetItemString(from, "LARGE")), REACH = number(PyDict_GetItemString(from, "REACH"));
    if (LARGE < 0 || REACH < 0) {
        PyErr_SetString(PyExc_TypeError, "bind() misses LARGE or REACH");
        return -1;
    }
    SLOT(n.op, Node, "op") SLOT(n.inputs, Node, "inputs") SLOT(n.kwargs, Node, "kwargs") SLOT(n.code, Node, "code")
    SLOT(n.lasti, Node, "lasti") SLOT(n.order, Node, "order") SLOT(n.depth, Node, "depth")
    SLOT(n.stamp, Node, "stamp") SLOT(n.requires, Node, "requires") SLOT(n.saved, Node, "saved")
    SLOT(n.shape, Node, "shape") SLOT(n.dtype, Node, "dtype")
    SLOT(w.arrays, Watched, "arrays") SLOT(w.call, Watched, "call") SLOT(w.duration, Watched, "duration")
    SLOT(w.fates, Watched, "fates") SLOT(w.id, Watched, "id") SLOT(w.iteration, Watched, "iteration")
    SLOT(w.made, Watched, "made") SLOT(w.nbytes, Watched, "nbytes") SLOT(w.outputs, Watched, "outputs")
    SLOT(w.phase, Watched, "phase") SLOT(w.place, Watched, "place") SLOT(w.saved_bytes, Watched, "saved_bytes")
    SLOT(w.scalars, Watched, "scalars") SLOT(w.start, Watched, "start") SLOT(w.twin, Watched, "twin")
    SLOT(b.arrays, Backward, "arrays") SLOT(b.call, Backward, "call") SLOT(b.duration, Backward, "duration")
    SLOT(b.fates, Backward, "fates") SLOT(b.id, Backward, "id") SLOT(b.iteration, Backward, "iteration")
    SLOT(b.made, Backward, "made") SLOT(b.nbytes, Backward, "nbytes") SLOT(b.outputs, Backward, "outputs")
    SLOT(b.place, Backward, "place") SLOT(b.start, Backward, "start") SLOT(b.twin, Backward, "twin")
    SLOT(u.category, Buffer, "category") SLOT(u.id, Buffer, "id") SLOT(u.key, Buffer, "key")
    SLOT(u.nbytes, Buffer, "nbytes") SLOT(u.node, Buffer, "node") SLOT(u.reused, Buffer, "reused")
    SLOT(u.told, Buffer, "told")
    PyObject *of_memory = (PyObject *)Py_TYPE(memory), *of_bus = (PyObject *)Py_TYPE(bus);
    SLOT(m.alive, of_memory, "_alive") SLOT(m.waiting, of_memory, "waiting") SLOT(m.mark, of_memory, "mark")
    SLOT(m.nbytes, of_memory, "nbytes") SLOT(m.ids, of_memory, "_ids") SLOT(m.wait, of_memory, "_wait")
    SLOT(s.op_start, of_bus, "op_start") SLOT(s.op_finish, of_bus, "op_finish") SLOT(s.buffer, of_bus, "buffer")
    SLOT(s.buffers, of_bus, "buffers")
    SLOT(o.arg_names, Op, "arg_names") SLOT(o.on_numpy, Op, "on_numpy")
    SLOT(o.vjp, Op, "vjp") SLOT(o.cross, Op, "cross") SLOT(o.saves_args, Op, "saves_args")
    SLOT(o.saves_out, Op, "saves_out")
    SLOT(i_index, (PyObject *)Py_TYPE(iteration), "index") SLOT(i_closed, (PyObject *)Py_TYPE(iteration), "closed")
    SLOT(call_depth, ModuleCall, "depth")
    SLOT(w_count, (PyObject *)Py_TYPE(writes), "count") SLOT(any_switch, (PyObject *)Py_TYPE(switches), "any")
    return 0;
}
