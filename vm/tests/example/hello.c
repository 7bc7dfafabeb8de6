// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example module: prints one line at load and one at unload.
 *
 *	insmod hello.ko whom=reader && rmmod hello
 */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "hello.h"

static char *whom = "world";
module_param(whom, charp, 0644);
MODULE_PARM_DESC(whom, "who is greeted");

int hello_say(const char *name)
{
	if (!*name)
		return -EINVAL;
	pr_info("hello: hello, %s\n", name);
	return 0;
}
EXPORT_SYMBOL_GPL(hello_say);

static int __init hello_init(void)
{
	return hello_say(whom);
}
module_init(hello_init);

static void __exit hello_exit(void)
{
	pr_info("hello: goodbye, %s\n", whom);
}
module_exit(hello_exit);

MODULE_DESCRIPTION("Greets at load and at unload");
MODULE_LICENSE("GPL");
