// SPDX-License-Identifier: GPL-2.0-only
/* A module of its own that calls hello.ko. */
#include <linux/init.h>
#include <linux/module.h>

#include "hello.h"

static int __init neighbour_init(void)
{
	return hello_say("neighbour");
}
module_init(neighbour_init);

static void __exit neighbour_exit(void)
{
}
module_exit(neighbour_exit);

MODULE_DESCRIPTION("Greets through hello.ko");
MODULE_LICENSE("GPL");
