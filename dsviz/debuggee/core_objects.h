/* The tracer's objects as the compiled core knows them: types, where the slots of each lie, and what is asked of them
   everywhere. Included by `core.c`. */

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

/* Whether two values that are nearly always the same object, or small, are equal. */
static inline int equal(PyObject *a, PyObject *other)
{
    return a == other || (a != NULL && other != NULL && PyObject_RichCompareBool(a, other, Py_EQ) == 1);
}

/* Take all of them over from `dsviz.debuggee.core`. */
static int bound_objects(PyObject *from)
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
    return 0;
}
