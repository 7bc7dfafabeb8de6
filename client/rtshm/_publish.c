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

/* What publish() and revoke() of one memory share: their capsule has it. */
struct publisher {
	uint64_t	*word;		/* NULL: revoked */
	Py_buffer	view;		/* of the memory, until then */
	PyObject	*refuse;	/* what is called from then on: it raises */
};

/* self: the capsule. The store pairs with rtshm_cmpxchg() in rtshm_take(). */
static PyObject *publish(PyObject *self, PyObject *value)
{
	struct publisher *publisher = PyCapsule_GetPointer(self, NULL);
	union word announced = { .ready = 1 };
	uint64_t *word;
	int beyond;
	long number;

	if (!publisher)
		return NULL;
	number = PyLong_AsLongAndOverflow(value, &beyond);
	if (number == -1 && !beyond && PyErr_Occurred())
		return NULL;
	if (beyond || number < INT32_MIN || number > INT32_MAX) {
		PyErr_Format(PyExc_OverflowError, "%S is not a C int; give %d to %d",
			     value, INT32_MIN, INT32_MAX);
		return NULL;
	}
	/* Not before: __index__() of the value may have revoked it. */
	word = publisher->word;
	if (!word)
		return PyObject_CallNoArgs(publisher->refuse);
	announced.some_int = number;
	__atomic_store_n(word, announced.bits, __ATOMIC_RELEASE);
	Py_RETURN_NONE;
}

static PyObject *revoke_publish(PyObject *self, PyObject *refuse)
{
	struct publisher *publisher = PyCapsule_GetPointer(self, NULL);

	if (!publisher)
		return NULL;
	if (publisher->word) {
		Py_INCREF(refuse);
		publisher->refuse = refuse;
		publisher->word = NULL;
		PyBuffer_Release(&publisher->view);
	}
	Py_RETURN_NONE;
}

static PyMethodDef publish_method = {
	"publish", publish, METH_O,
	"publish($self, value, /)\n--\n\nStore the value and announce it: see rtshm.Region.publish.",
};

static PyMethodDef revoke_method = {
	"revoke", revoke_publish, METH_O,
	"revoke($self, refuse, /)\n--\n\nRelease the memory; publish() calls refuse() from now on.",
};

/* The last reference to both functions is gone. */
static void release(PyObject *capsule)
{
	struct publisher *publisher = PyCapsule_GetPointer(capsule, NULL);

	if (publisher->word)
		PyBuffer_Release(&publisher->view);
	Py_XDECREF(publisher->refuse);
	PyMem_Free(publisher);
}

static PyObject *publisher(PyObject *module, PyObject *memory)
{
	PyObject *capsule, *functions;
	struct publisher *made;

	made = PyMem_Calloc(1, sizeof(*made));
	if (!made)
		return PyErr_NoMemory();
	if (PyObject_GetBuffer(memory, &made->view, PyBUF_WRITABLE))
		goto err_free;
	if (made->view.len < (Py_ssize_t)sizeof(union word) ||
	    (uintptr_t)made->view.buf % sizeof(union word)) {
		PyErr_Format(PyExc_ValueError, "no aligned word of %zu bytes in %R",
			     sizeof(union word), memory);
		goto err_release;
	}
	made->word = made->view.buf;
	capsule = PyCapsule_New(made, NULL, release);
	if (!capsule)
		goto err_release;
	/* From here on the capsule has it all. */
	functions = Py_BuildValue("(NN)", PyCFunction_NewEx(&publish_method, capsule, NULL),
				  PyCFunction_NewEx(&revoke_method, capsule, NULL));
	Py_DECREF(capsule);
	return functions;

err_release:
	PyBuffer_Release(&made->view);
err_free:
	PyMem_Free(made);
	return NULL;
}

static PyMethodDef methods[] = {
	{ "publisher", publisher, METH_O,
	  "publisher($module, memory, /)\n--\n\nReturn publish() and revoke() for the word at the head of writable memory." },
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
