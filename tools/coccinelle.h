/*
 * What coccinelle cannot parse in the module's source, as what it can: tools/static.py
 * hands this to it. Where it cannot parse a function, its rules find nothing there.
 */
#define __shm
#define scoped_guard(kind, lock) if (1)
#define guard(kind) (void)
