/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HELLO_H
#define HELLO_H

/* Prints a greeting for @name in the kernel's log; -EINVAL if it is empty. */
int hello_say(const char *name);

#endif
