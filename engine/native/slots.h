/* What the compiled cores share: slots of Python's objects read where they lie, small numbers, the clock.

   Only what CPython documents is used; a slot's place comes from its own descriptor. Whoever includes this checks the
   type of an object before it reads a slot, and leaves to Python whatever is not as it is nearly always. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#ifdef Py_GIL_DISABLED
#error "one thread at a time is taken for granted here"
#endif

/* The slot `name` of `type` as an offset; -1 with an exception where it is none. */
static Py_ssize_t slot_of(PyObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString(type, name);
    Py_ssize_t offset = -1;
    if (found == NULL) return -1;
    if (Py_TYPE(found) == &PyMemberDescr_Type) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX) offset = member->offset;
    }
    Py_DECREF(found);
    if (offset <= 0) PyErr_Format(PyExc_TypeError, "%R has no slot %s", type, name);
    return offset;
}

#define SLOT(into, type, name) if (((into) = slot_of(type, name)) < 0) return -1;
#define AT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* Give a slot a value, whose reference it takes over. */
static inline void put(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    PyObject *before = AT(object, offset);
    AT(object, offset) = value;
    Py_XDECREF(before);
}

static inline void put_new(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    Py_INCREF(value);
    put(object, offset, value);
}

/* The number that `object` is, -1 where it is none or does not fit: no number here is negative. */
static inline int64_t number(PyObject *object)
{
    if (object == NULL || !PyLong_CheckExact(object)) return -1;
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow || value < 0 ? -1 : value;
}

static inline int truth(PyObject *object)
{
    if (object == Py_True) return 1;
    if (object == Py_False || object == Py_None) return 0;
    return object == NULL ? 0 : PyObject_IsTrue(object);
}

static PyObject *clock_of; /* what is asked for the time; NULL: the system's clock, which is the same */

static PyObject *now(void)
{
    if (clock_of != NULL) return PyObject_CallNoArgs(clock_of);
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return PyLong_FromLongLong((long long)time.tv_sec * 1000000000LL + time.tv_nsec);
}

/* Take over the exception that is set, with its traceback. */
static inline PyObject *taken(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL && value != NULL) PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
#endif
}

/* What a weak reference refers to, borrowed, only to be compared. */
static inline PyObject *referred(PyObject *reference)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *found = NULL;
    if (PyWeakref_GetRef(reference, &found) < 0) PyErr_Clear();
    Py_XDECREF(found);
    return found;
#else
    return PyWeakref_GetObject(reference);
#endif
}

static PyObject *getframe; /* sys._getframe: it makes no object of the frames in between */

static PyObject *frame_at(long depth)
{
    PyObject *number = PyLong_FromLong(depth);
    if (number == NULL) return NULL;
    PyObject *frame = PyObject_CallOneArg(getframe, number);
    Py_DECREF(number);
    return frame;
}

/* The instruction that a frame is at, in bytes. */
static inline long instruction_of(PyObject *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return PyFrame_GetLasti((PyFrameObject *)frame);
#else
    PyObject *found = PyObject_GetAttrString(frame, "f_lasti");
    long at = found == NULL ? -1 : PyLong_AsLong(found);
    Py_XDECREF(found);
    if (PyErr_Occurred()) PyErr_Clear();
    return at;
#endif
}

/* The names of attributes and keys. */
#define NAMED(name) static PyObject *s_##name;
#define NAME(name) if ((s_##name = PyUnicode_InternFromString(#name)) == NULL) return -1;

/* Objects that Python hands over by name. */
static int given(PyObject *from, const char *name, PyObject **into)
{
    PyObject *found = PyDict_GetItemString(from, name);
    if (found == NULL) {
        PyErr_Format(PyExc_TypeError, "bind() misses %s", name);
        return -1;
    }
    Py_INCREF(found);
    Py_XSETREF(*into, found);
    return 0;
}
