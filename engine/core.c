/* What an op costs while somebody watches, compiled: the functions of `engine.watched`, as they are written there.

   Each takes the way that nearly every op goes and leaves any other to the function of Python it stands for, before it
   has done anything. Whoever changes one changes the other; `tests/test_core.py` runs both. */

#include "slots.h"
#include "core_objects.h"
#include "core_memory.h"

/* --- before and after an op --- */

static int set_mark(void)
{
    Py_ssize_t size = PyObject_Size(AT(memory, m.waiting));
    PyObject *mark = size < 0 ? NULL : PyLong_FromSsize_t(size);
    if (mark == NULL) return -1;
    put(memory, m.mark, mark);
    return 0;
}

/* Number the node's arguments that nothing recorded made, and note the plain numbers among them. */
static int look_at_inputs(PyObject *node, PyObject *arrays)
{
    PyObject *inputs = Py_NewRef(AT(node, n.inputs)), *op = AT(node, n.op);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); i++) {
        PyObject *parent = PyTuple_GET_ITEM(inputs, i), *array = PySequence_GetItem(arrays, i), *done = NULL;
        if (array == NULL) goto failed;
        if (parent == Py_None) {
            if (array != Py_None) {
                PyObject *names = AT(op, o.arg_names), *name = NULL;
                Py_ssize_t many = PyTuple_GET_SIZE(names); /* more than none: there is an argument */
                name = PyTuple_GET_ITEM(names, i < many ? i : many - 1);
                if (AT(node, w.scalars) == Py_None) {
                    PyObject *scalars = PyDict_New();
                    if (scalars == NULL) { Py_DECREF(array); goto failed; }
                    put(node, w.scalars, scalars);
                }
                if (PyDict_SetItem(AT(node, w.scalars), name, array) < 0) { Py_DECREF(array); goto failed; }
            }
        } else {
            PyObject *id = of(parent, w.id, s_id);
            if (id == NULL) { Py_DECREF(array); goto failed; }
            if (number(id) == 0 && (done = PyObject_CallFunctionObjArgs(py_leaf, parent, array, NULL)) == NULL) {
                Py_DECREF(id);
                Py_DECREF(array);
                goto failed;
            }
            Py_XDECREF(done);
            Py_DECREF(id);
        }
        Py_DECREF(array);
    }
    Py_DECREF(inputs);
    return 0;
failed:
    Py_DECREF(inputs);
    return -1;
}

/* Tell that a node starts, which has its number now. */
static int start(PyObject *node, Py_ssize_t begun)
{
    PyObject *value;
    if (set_mark() < 0) return -1;
    if (tell(s.op_start, s_op_start, node) < 0) return -1;
    if ((value = now()) == NULL) return -1;
    put(node, begun, value);
    return 0;
}

static int begin_of(PyObject *node, PyObject *arrays)
{
    PyObject *mine, *value, *phase;
    int answer;
    put_new(node, w.id, zero);
    put_new(node, w.duration, zero);
    put_new(node, w.nbytes, zero);
    put_new(node, w.saved_bytes, zero);
    put_new(node, w.start, zero);
    put_new(node, w.phase, zero);
    put_new(node, w.place, Py_None);
    put_new(node, w.made, Py_None);
    put_new(node, w.scalars, Py_None);
    put_new(node, w.arrays, Py_None);
    put_new(node, w.twin, Py_None);
    put_new(node, w.outputs, Py_None);
    put_new(node, w.fates, Py_None);
    if ((mine = PyObject_GetAttr(state, s___dict__)) == NULL) return -1; /* of this thread */
    if ((value = PyDict_GetItemWithError(mine, s_call)) == NULL) goto failed;
    put_new(node, w.call, value);
    put_new(node, w.iteration, AT(iteration, i_index));
    if ((value = PyDict_GetItemWithError(mine, s_silent)) == NULL) goto failed;
    answer = truth(value) ? 0 : level();
    if (answer <= 0) {
        Py_DECREF(mine);
        return answer;
    }
    if ((value = PyDict_GetItemWithError(mine, s_modules)) == NULL) goto failed;
    if (PyObject_Size(value) != depth_in(AT(node, w.call))) {
        if ((value = PyObject_CallNoArgs(py_made_up)) == NULL) goto failed;
        put(node, w.call, value);
    }
    phase = PyDict_GetItemWithError(mine, s_phase);
    if (phase == NULL) goto failed;
    if (truth(phase)) {
        put_new(node, w.phase, phase);
        if ((value = PyDict_GetItemWithError(mine, s_twin)) == NULL) goto failed;
        put_new(node, w.twin, value);
    } else if (truth(AT(iteration, i_closed))) {
        PyObject *done = PyObject_CallMethodNoArgs(iteration, s_forward);
        if (done == NULL) goto failed;
        Py_DECREF(done);
        put_new(node, w.iteration, AT(iteration, i_index));
    }
    Py_CLEAR(mine);
    if (truth(AT(switches, any_switch))) {
        PyObject *silent = PyObject_CallMethodOneArg(switches, s_silent, node);
        answer = silent == NULL ? -1 : truth(silent);
        Py_XDECREF(silent);
        if (answer) return answer < 0 ? -1 : 0;
    }
    if (look_at_inputs(node, arrays) < 0) return -1;
    if ((value = PyIter_Next(ids)) == NULL) return -1;
    put(node, w.id, value);
    if ((value = PySequence_Tuple(arrays)) == NULL) return -1;
    put(node, w.arrays, value);
    return start(node, w.start) < 0 ? -1 : 1;
failed:
    Py_XDECREF(mine);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_KeyError, "a thread's state");
    return -1;
}

/* Whether what is saved on a node can be told here: arrays, nodes and plain numbers. */
static int plainly_saved(PyObject *saved)
{
    if (saved == NULL || saved == Py_None) return 1;
    if (!PyTuple_CheckExact(saved)) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(saved); i++) {
        PyObject *one = PyTuple_GET_ITEM(saved, i);
        if (!(is_array(one) || one == Py_None || is_node(one) || PyFloat_CheckExact(one) || PyLong_CheckExact(one) ||
              PyBool_Check(one)))
            return 0;
    }
    return 1;
}

static int finish_of(PyObject *node, PyObject *out)
{
    PyObject *saved = AT(node, n.saved), *gone = NULL, *born = NULL, *kept = NULL, *value;
    if (!is_array(out) || !plainly_saved(saved)) {
        value = PyObject_CallFunctionObjArgs(py_finish, node, out, NULL);
        Py_XDECREF(value);
        return value == NULL ? -1 : 0;
    }
    int following = truth(AT(bus, s.buffers));
    gone = Py_NewRef(nothing), born = Py_NewRef(nothing), kept = Py_NewRef(nothing);
    Py_XINCREF(saved);
    if (following && PyObject_Size(AT(memory, m.waiting)) > 0) Py_SETREF(gone, before_of(node));
    if (gone == NULL) goto failed;
    if ((value = PyObject_GetAttr(out, s_nbytes)) == NULL) goto failed;
    put(node, w.nbytes, value);
    if (following) {
        PyObject *category = truth(AT(node, w.phase)) ? s_gradients : s_activations;
        PyObject *buffer = born_of(out, category, node, AT(node, w.id));
        if (buffer == NULL) goto failed;
        if (buffer != Py_None) Py_SETREF(born, PyTuple_Pack(1, buffer));
        Py_DECREF(buffer);
        if (born == NULL) goto failed;
    }
    if (saved != NULL && saved != Py_None && PyTuple_GET_SIZE(saved)) {
        int64_t size = 0;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(saved); i++) {
            PyObject *array = PyTuple_GET_ITEM(saved, i), *buffer;
            if (!is_array(array)) continue;
            size += bytes_of(array);
            if (!following) continue;
            if ((buffer = kept_of(array, node)) == NULL) goto failed;
            /* Its own is told with its beginning. */
            if (buffer != Py_None && number(AT(buffer, u.node)) != number(AT(node, w.id))) {
                PyObject *one = PyTuple_Pack(1, buffer), *more = one == NULL ? NULL : PySequence_Concat(kept, one);
                Py_XDECREF(one);
                Py_SETREF(kept, more);
            }
            Py_DECREF(buffer);
            if (kept == NULL) goto failed;
        }
        if (size) {
            if ((value = PyLong_FromLongLong(size)) == NULL) goto failed;
            put(node, w.saved_bytes, value);
        }
    }
    if (PyObject_Size(gone) > 0 || PyTuple_GET_SIZE(born) || PyTuple_GET_SIZE(kept)) {
        if ((value = PyTuple_Pack(3, gone, born, kept)) == NULL) goto failed;
        put(node, w.fates, value);
        if (PyObject_Size(AT(bus, s.buffer)) > 0) {
            if ((value = PyObject_CallMethodOneArg(memory, s_tell, node)) == NULL) goto failed;
            Py_DECREF(value);
        }
    }
    Py_CLEAR(gone);
    Py_CLEAR(born);
    Py_CLEAR(kept);
    Py_CLEAR(saved);
    put_new(node, w.made, out);
    if (tell(s.op_finish, s_op_finish, node) < 0) return -1;
    put_new(node, w.made, Py_None);
    put_new(node, w.arrays, Py_None);
    put_new(node, w.fates, Py_None);
    return 0;
failed:
    Py_XDECREF(gone);
    Py_XDECREF(born);
    Py_XDECREF(kept);
    Py_XDECREF(saved);
    return -1;
}

/* --- what Python calls --- */

static int ready; /* whether `bind` has been called */

static int counted(Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted && ready) return 1;
    if (!ready) PyErr_SetString(PyExc_RuntimeError, "bind() comes first");
    else PyErr_Format(PyExc_TypeError, "takes %zd arguments, got %zd", wanted, count);
    return 0;
}

/* Whether a node has inputs, and an op that names each of them. */
static int nameable(PyObject *node)
{
    PyObject *inputs = AT(node, n.inputs), *op = AT(node, n.op), *names;
    if (inputs == NULL || !PyTuple_CheckExact(inputs) || op == NULL || (PyObject *)Py_TYPE(op) != Op) return 0;
    names = AT(op, o.arg_names);
    return names != NULL && PyTuple_CheckExact(names) && (PyTuple_GET_SIZE(names) || !PyTuple_GET_SIZE(inputs));
}

static PyObject *begin(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (!counted(count, 2)) return NULL;
    if ((PyObject *)Py_TYPE(words[0]) != Watched || !nameable(words[0]))
        return PyObject_Vectorcall(py_begin, words, 2, NULL);
    int loud = begin_of(words[0], words[1]);
    return loud < 0 ? NULL : PyBool_FromLong(loud);
}

static PyObject *finish(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (!counted(count, 2)) return NULL;
    if ((PyObject *)Py_TYPE(words[0]) != Watched) return PyObject_Vectorcall(py_finish, words, 2, NULL);
    if (finish_of(words[0], words[1]) < 0) return NULL;
    Py_RETURN_NONE;
}

/* The person's frame, `depth` or more calls up; its code. */
static PyObject *persons(long depth, PyObject **code)
{
    PyObject *frame = frame_at(depth);
    while (frame != NULL) {
        *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
        PyObject *name = PyObject_GetAttr(*code, s_co_filename), *engine, *outer;
        if (name == NULL) break;
        engine = PyDict_GetItemWithError(internal, name);
        if (engine != NULL) Py_INCREF(engine);
        else if (!PyErr_Occurred()) engine = PyObject_GetItem(internal, name); /* a file that is new */
        Py_DECREF(name);
        if (engine == NULL) break;
        int within = truth(engine);
        Py_DECREF(engine);
        if (within <= 0) return frame;
        outer = (PyObject *)PyFrame_GetBack((PyFrameObject *)frame);
        if (outer == NULL) return frame;
        Py_DECREF(*code);
        Py_SETREF(frame, outer);
    }
    if (frame != NULL) Py_DECREF(*code);
    Py_XDECREF(frame);
    return NULL;
}

/* What an op makes of its arrays; an error is explained, and where a person gives the result, the op is another. */
static PyObject *computed(PyObject *node, PyObject *op, PyObject *args, PyObject *arrays, PyObject *frame)
{
    Py_ssize_t count = PyList_GET_SIZE(arrays);
    PyObject *out = NULL, *words[4] = {NULL, NULL, NULL, NULL};
    words[1] = PyList_GET_ITEM(arrays, 0);
    if (count > 1) words[2] = PyList_GET_ITEM(arrays, 1);
    for (int i = 1; i < 4; i++) Py_XINCREF(words[i]);
    PyObject *function = AT(op, o.on_numpy);
    int64_t size = bytes_of(words[1]);
    if (size >= LARGE)
        out = PyObject_CallFunctionObjArgs(compute, op, arrays, NULL);
    else if (size >= 0)
        out = PyObject_Vectorcall(function, words + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    for (int i = 1; i < 4; i++) Py_XDECREF(words[i]);
    if (out == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = taken();
        out = PyObject_CallFunctionObjArgs(py_explained, node, args, arrays, error, frame, NULL);
        Py_XDECREF(error);
    }
    if (out != NULL && !is_array(out)) Py_SETREF(out, PyObject_CallOneArg(asarray, out));
    return out;
}

/* What is saved of argument `i` under `rule`, borrowed; NULL with an exception. */
static PyObject *saved_of(PyObject *rule, PyObject **arrays, PyObject **nodes, Py_ssize_t count, Py_ssize_t i)
{
    if (rule == Py_None) return nodes[i] == Py_None ? arrays[i] : nodes[i];
    if (!PyTuple_CheckExact(rule)) {
        PyErr_SetString(PyExc_TypeError, "a rule of what is saved is a tuple");
        return NULL;
    }
    if (!PyTuple_GET_SIZE(rule)) return arrays[i];
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(rule); k++) {
        int64_t user = number(PyTuple_GET_ITEM(rule, k));
        int flows = user >= 0 && user < count && nodes[user] != Py_None ? requires_of(nodes[user]) : 0;
        if (flows) return flows < 0 ? NULL : arrays[i];
    }
    return Py_None;
}

/* `engine.node.keep`. */
static int keep_on(PyObject *node, PyObject *op, PyObject **arrays, PyObject **nodes, Py_ssize_t count, PyObject *out)
{
    Py_ssize_t rules = 0;
    PyObject *saved = PyTuple_New(count + 1), *rule = AT(op, o.saves_args);
    int cross = truth(AT(op, o.cross)) && count == 2;
    if (saved == NULL) return -1;
    if (!cross && (rule == NULL || !PyTuple_CheckExact(rule) || (rules = PyTuple_GET_SIZE(rule)) == 0)) goto failed;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *one;
        if (cross) {
            int flows = nodes[1 - i] == Py_None ? 0 : requires_of(nodes[1 - i]);
            one = flows < 0 ? NULL : flows ? arrays[i] : Py_None;
        } else
            one = saved_of(PyTuple_GET_ITEM(rule, i < rules ? i : rules - 1), arrays, nodes, count, i);
        if (one == NULL) goto failed;
        PyTuple_SET_ITEM(saved, i, Py_NewRef(one));
    }
    PyTuple_SET_ITEM(saved, count, Py_NewRef(!cross && truth(AT(op, o.saves_out)) ? out : Py_None));
    put(node, n.saved, saved);
    return 0;
failed:
    Py_DECREF(saved);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "an op without rules of what it saves");
    return -1;
}

/* `engine.node.settle`, where nothing has to be copied; 0: left to Python. */
static int settled(PyObject *node, PyObject *nodes)
{
    int64_t depth = 0;
    PyObject *value;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(nodes); i++) {
        PyObject *source = PyList_GET_ITEM(nodes, i);
        if (source == Py_None) continue;
        if (!is_node(source) || (truth(AT(source, n.requires)) && AT(source, n.op) != Py_None)) return 0;
        int64_t behind = number(AT(source, n.depth));
        if (behind < 0 || behind >= REACH) return 0;
        if (behind >= depth) depth = behind + 1;
    }
    if ((value = PyLong_FromLongLong(depth)) == NULL) return -1;
    put(node, n.depth, value);
    return 1; /* its inputs are those it has */
}

/* Whether a gradient flows through: what it needs is kept, or what error messages need. */
static int saved_on(PyObject *node, PyObject *op, PyObject *arrays, PyObject *nodes, PyObject *out)
{
    int flows = 0, done;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(nodes) && !flows; i++)
        if (PyList_GET_ITEM(nodes, i) != Py_None && (flows = requires_of(PyList_GET_ITEM(nodes, i))) < 0) return -1;
    if (flows && AT(op, o.vjp) != Py_None) {
        PyObject *grad = PyObject_GetAttr(state, s_grad);
        flows = grad == NULL ? -1 : truth(grad);
        Py_XDECREF(grad);
        if (flows < 0) return -1;
        if (flows) {
            put_new(node, n.requires, Py_True);
            return keep_on(node, op, PySequence_Fast_ITEMS(arrays), PySequence_Fast_ITEMS(nodes), PyList_GET_SIZE(nodes), out);
        }
    }
    if ((done = settled(node, nodes)) == 0) {
        PyObject *words[] = {node, nodes}, *result = PyObject_Vectorcall(settle, words, 2, NULL);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    return done < 0 ? -1 : 0;
}

static PyObject *followed(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (!counted(count, 4)) return NULL;
    PyObject *op = words[0], *args = words[1], *arrays = words[2], *nodes = words[3];
    PyObject *code = NULL, *node = NULL, *out = NULL, *value, *result = NULL;
    PyObject *frame = persons(2, &code);
    if (frame == NULL) return NULL;
    Py_INCREF(op);
    if ((node = ((PyTypeObject *)Watched)->tp_alloc((PyTypeObject *)Watched, 0)) == NULL) goto done;
    put_new(node, n.op, op);
    put_new(node, n.kwargs, no_kwargs);
    put_new(node, n.code, code);
    if ((value = PyLong_FromLong(instruction_of(frame))) == NULL) goto done;
    put(node, n.lasti, value);
    if ((value = PyList_AsTuple(nodes)) == NULL) goto done;
    put(node, n.inputs, value);
    put_new(node, n.requires, Py_False);
    put_new(node, n.stamp, AT(writes, w_count));
    put_new(node, n.saved, nothing);
    put_new(node, n.depth, zero);
    put_new(node, n.order, zero);
    put_new(node, n.shape, Py_None);
    put_new(node, n.dtype, Py_None);
    int loud = begin_of(node, arrays);
    if (loud < 0) goto done;
    if ((out = computed(node, op, args, arrays, frame)) == NULL) goto done;
    Py_INCREF(AT(node, n.op));
    Py_SETREF(op, AT(node, n.op)); /* another where a person gave the result */
    if (loud) {
        PyObject *ended = now();
        value = ended == NULL ? NULL : PyNumber_Subtract(ended, AT(node, w.start));
        Py_XDECREF(ended);
        if (value == NULL) goto done;
        put(node, w.duration, value);
    }
    if ((value = PyIter_Next(orders)) == NULL) goto done;
    put(node, n.order, value);
    if ((value = PyObject_GetAttr(out, s_shape)) == NULL) goto done;
    put(node, n.shape, value);
    if ((value = PyObject_GetAttr(out, s_dtype)) == NULL) goto done;
    put(node, n.dtype, value);
    if (saved_on(node, op, arrays, nodes, out) < 0) goto done;
    if (loud && finish_of(node, out) < 0) goto done;
    result = PyTuple_Pack(2, node, out);
done:
    Py_DECREF(op);
    Py_XDECREF(frame);
    Py_XDECREF(code);
    Py_XDECREF(node);
    Py_XDECREF(out);
    return result;
}

#include "core_backward.h"
#include "core_dispatch.h"

/* --- binding --- */

/* bind(objects, clock): what `engine.core` hands over, once; `clock` None means the system's. */
static PyObject *bind(PyObject *self, PyObject *const *words, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(words[0])) return PyErr_Format(PyExc_TypeError, "takes objects and a clock"), NULL;
    if (bound_objects(words[0]) < 0 || bound_dispatch(words[0]) < 0) return NULL;
    ready = 1;
    PyObject *clock = words[1] == Py_None ? NULL : Py_NewRef(words[1]);
    Py_XSETREF(clock_of, clock);
    Py_RETURN_NONE;
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {FAST(bind), FAST(begin), FAST(finish), FAST(followed), FAST(begin_backward),
                                FAST(finish_backward), FAST(unary), FAST(binary), {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "engine_core", NULL, -1, methods};

static int named(void)
{
    NAMES(NAME)
    DISPATCH_NAMES(NAME)
    zero = PyLong_FromLong(0);
    nothing = PyTuple_New(0);
    return zero == NULL || nothing == NULL ? -1 : 0;
}

PyMODINIT_FUNC PyInit_engine_core(void)
{
    return named() < 0 ? NULL : PyModule_Create(&module);
}
