// SPDX-License-Identifier: GPL-2.0-only
/*
 * publish() of a mapping: value and flag in one store.
 *
 * rtshm/publisher.py does the same in Python where this was not built. Here it
 * takes less time, and the store is a release on every processor: a tick that
 * takes the value sees what was stored through the mapping before.
 *
 * With the limited API of Python 3.11 one build is for all later ones that have
 * it: not for those without the GIL.
 */

#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>

/* struct rtshm_word of <linux/rtshm.h>, as one number. */
union word {
	struct {
		int32_t	some_int;
		uint8_t	ready;
		uint8_t	pad[3];
	};
	uint64_t	bits;
};

/* self: a capsule with the word. The store pairs with rtshm_cmpxchg() in rtshm_take(). */
static PyObject *publish(PyObject *self, PyObject *value)
{
	union word announced = { .ready = 1 };
	uint64_t *word = PyCapsule_GetPointer(self, NULL);
	int beyond;
	long number;

	if (!word)
		return NULL;
	number = PyLong_AsLongAndOverflow(value, &beyond);
	if (number == -1 && !beyond && PyErr_Occurred())
		return NULL;
	if (beyond || number < INT32_MIN || number > INT32_MAX) {
		PyErr_Format(PyExc_OverflowError, "%S is not a C int; give %d to %d",
			     value, INT32_MIN, INT32_MAX);
		return NULL;
	}
	announced.some_int = number;
	__atomic_store_n(word, announced.bits, __ATOMIC_RELEASE);
	Py_RETURN_NONE;
}

static PyMethodDef publish_method = {
	"publish", publish, METH_O,
	"publish($self, value, /)\n--\n\nStore the value and announce it: see rtshm.Region.publish.",
};

/* The last reference to a publish() is gone. */
static void release(PyObject *capsule)
{
	Py_buffer *view = PyCapsule_GetContext(capsule);

	PyBuffer_Release(view);
	PyMem_Free(view);
}

static PyObject *publisher(PyObject *module, PyObject *memory)
{
	PyObject *capsule, *function;
	Py_buffer *view;

	view = PyMem_Malloc(sizeof(*view));
	if (!view)
		return PyErr_NoMemory();
	if (PyObject_GetBuffer(memory, view, PyBUF_WRITABLE))
		goto err_free;
	if (view->len < (Py_ssize_t)sizeof(union word) || (uintptr_t)view->buf % sizeof(union word)) {
		PyErr_Format(PyExc_ValueError, "no aligned word of %zu bytes in %R",
			     sizeof(union word), memory);
		goto err_release;
	}
	capsule = PyCapsule_New(view->buf, NULL, NULL);
	if (!capsule)
		goto err_release;
	/* The view is the capsule's from here on: neither fails for a capsule. */
	PyCapsule_SetContext(capsule, view);
	PyCapsule_SetDestructor(capsule, release);
	function = PyCFunction_NewEx(&publish_method, capsule, NULL);
	Py_DECREF(capsule);
	return function;

err_release:
	PyBuffer_Release(view);
err_free:
	PyMem_Free(view);
	return NULL;
}

static PyMethodDef methods[] = {
	{ "publisher", publisher, METH_O,
	  "publisher($module, memory, /)\n--\n\npublish(value) for the word at the head of writable memory." },
	{ }
};

static struct PyModuleDef module_def = {
	PyModuleDef_HEAD_INIT,
	.m_name = "rtshm._publish",
	.m_methods = methods,
};

PyMODINIT_FUNC PyInit__publish(void)
{
	return PyModuleDef_Init(&module_def);
}
