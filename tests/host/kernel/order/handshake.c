// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process stores a field and announces it, twice: the tick that takes an announcement
 * has the field of it, or the next; no announcement is taken twice, and the last is taken.
 */

#include <linux/rtshm.h>

struct shared {
	__u64 words[2];		/* the word, the field */
	_Bool done;
};

#include "kernel.h"

/* Python, for a publish() of its value. */
typedef struct {
	u64 value;
} PyObject;

typedef int Py_buffer;

#define PyCapsule_GetPointer(self, name)	((struct publisher *)(self))
#define PyLong_AsLongAndOverflow(number, beyond)	(*(beyond) = 0, (long)(number)->value)
#define PyErr_Occurred()			0
#define PyErr_Format(...)			((void)0)
#define PyObject_CallNoArgs(refuse)		(refuse)
#define Py_RETURN_NONE				return NULL

#include "taken.h"

static struct rtshm_region region = { .mem = shared.words };

static u64 taken;

static void publishing(void)
{
	struct publisher publisher = { .word = shared.words };

	for (u64 value = 1; value <= 2; value++) {
		PyObject number = { value };

		WRITE_ONCE(shared.words[1], value);
		publish((PyObject *)&publisher, &number);
	}
	smp_wmb();
	WRITE_ONCE(shared.done, true);
}

static void ticking(void)
{
	union rtshm_word_bits seen;

	if (!rtshm_take(&region, &seen))
		return;
	always(seen.word.some_int > (int)taken);	/* none twice, and in their order */
	taken = seen.word.some_int;
	always(rtshm_load(&shared.words[1]) >= taken);
}

void check(void)
{
	loads_early = true;
__CPROVER_ASYNC_1: publishing();
	ticking();
	ticking();
	reached(taken == 0);
	reached(taken == 1);
	reached(taken == 2);
	__CPROVER_assume(shared.done);
	smp_mb();
	ticking();
	/* The last one is not lost. */
	always(taken == 2);
}
