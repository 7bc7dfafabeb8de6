// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/rtshm/<name>: the state of a region, as a file of its size.
 *
 * mmap is the live memory. read and write copy by copy.c: no tick
 * and no read of up to a page sees part of a write of up to a page; longer ones
 * go a page at a time. poll says writable when no announcement waits, and error
 * and hang-up once the region is deleted; its memory is still there.
 */

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>

#include "rtshm.h"
#include "tick.h"

/* What read(2) and write(2) copy by way of the stack. */
#define RTSHM_STACK_BYTES	64

static int rtshm_state_open(struct inode *inode, struct file *file)
{
	struct rtshm_region *region = rtshm_region_of(inode);

	/* An inode with the cdev at hand outlives the node: see /proc/<pid>/fd. */
	if (READ_ONCE(region->dead))
		return -ENODEV;
	atomic_inc(&region->users);
	file->private_data = region;
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

/* The last reference to an open file; a mapping holds one. */
static int rtshm_state_release(struct inode *inode, struct file *file)
{
	struct rtshm_region *region = file->private_data;

	atomic_dec(&region->users);
	return 0;
}

static loff_t rtshm_state_llseek(struct file *file, loff_t offset, int whence)
{
	struct rtshm_region *region = file->private_data;

	return fixed_size_llseek(file, offset, whence, region->config.size);
}

/* read(2) and write(2): the same walk, the copy one way or the other. */
static ssize_t rtshm_state_transfer(struct kiocb *iocb, struct iov_iter *iter)
{
	struct rtshm_region *region = iocb->ki_filp->private_data;
	size_t most = min_t(size_t, iov_iter_count(iter), PAGE_SIZE);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	bool in = iov_iter_rw(iter) == WRITE;
	u64 word[RTSHM_STACK_BYTES / sizeof(u64)];
	void *copy = word;
	ssize_t done = 0;
	int err = 0;

	if (!iov_iter_count(iter))
		return 0;
	/* Appending goes past the end, where there is nothing. */
	if (iocb->ki_pos >= region->config.size || (in && iocb->ki_flags & IOCB_APPEND))
		return in ? -ENOSPC : 0;

	/*
	 * User memory is touched outside the lock: a copy of its own between
	 * the two, whole before it goes in. A short one needs no allocation.
	 */
	if (most > sizeof(word))
		copy = kmalloc(most, nowait ? GFP_NOWAIT | __GFP_NOWARN : GFP_KERNEL);
	if (!copy)
		return nowait ? -EAGAIN : -ENOMEM;

	while (iov_iter_count(iter) && iocb->ki_pos < region->config.size) {
		size_t len = min3(iov_iter_count(iter), (size_t)PAGE_SIZE,
				  (size_t)(region->config.size - iocb->ki_pos));

		if (in) {
			if (!copy_from_iter_full(copy, len, iter)) {
				err = -EFAULT;
				break;
			}
			rtshm_copy_in(region, iocb->ki_pos, copy, len);
		} else {
			rtshm_copy_out(region, iocb->ki_pos, copy, len);
			len = copy_to_iter(copy, len, iter);
			if (!len) {
				err = -EFAULT;
				break;
			}
		}
		iocb->ki_pos += len;
		done += len;

		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}

	if (copy != word)
		kfree(copy);
	return done ?: err;
}

/*
 * A poller wakes at the tick that takes the announcement, or at the first one
 * after another process cleared it. Edge-triggered epoll, which does not ask
 * again, sees the takes only.
 */
static __poll_t rtshm_state_poll(struct file *file, poll_table *wait)
{
	struct rtshm_region *region = file->private_data;
	__poll_t events = EPOLLIN | EPOLLRDNORM;

	poll_wait(file, &region->state_queue, wait);
	/* rtshm_region_stop() sets dead before it wakes the queue. */
	if (READ_ONCE(region->dead))
		return events | EPOLLHUP | EPOLLERR;
	if (rtshm_announced(region)) {
		set_bit(RTSHM_POLL_ARMED, &region->pending);
		/*
		 * Armed before the second look at the word; rtshm_tick() takes
		 * the word before it looks whether somebody is armed.
		 */
		smp_mb__after_atomic();
		if (rtshm_announced(region))
			return events;
	}
	return events | EPOLLOUT | EPOLLWRNORM;
}

static vm_fault_t rtshm_state_fault(struct vm_fault *vmf)
{
	struct rtshm_region *region = vmf->vma->vm_file->private_data;

	if (vmf->pgoff >= region->config.size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	/* Where x86 has a memory type for the address, the kernel's mapping gave it. */
	if (region->phys)
		return vmf_insert_pfn(vmf->vma, vmf->address,
				      PHYS_PFN(region->config.phys) + vmf->pgoff);

	vmf->page = vmalloc_to_page((void __force *)region->mem +
				    (vmf->pgoff << PAGE_SHIFT));
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct rtshm_state_vm_ops = {
	.fault = rtshm_state_fault,
};

static int rtshm_state_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct rtshm_region *region = file->private_data;
	unsigned long pages = region->config.size >> PAGE_SHIFT;

	/* MAYSHARE: MAP_SHARED on a read-only descriptor has no VM_SHARED. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	/* In pages, the difference on this side: nothing here can wrap. */
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;

	/*
	 * mremap() does not extend it, and mprotect() never makes it executable;
	 * whether it may become writable depends on how the file is open.
	 */
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP |
			  /* Of raw memory the kernel may have no struct page. */
			  (region->phys ? VM_PFNMAP : 0), VM_MAYEXEC);
	vma->vm_ops = &rtshm_state_vm_ops;
	return 0;
}

static int rtshm_state_kick(struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	guard(irqsave)();
	return rtshm_kick(file->private_data);
}

static long rtshm_state_ioctl(struct file *file, unsigned int command,
			      unsigned long argument)
{
	switch (command) {
	case RTSHM_IOC_INFO:
		return rtshm_region_info(file->private_data, 0, (void __user *)argument);
	case RTSHM_IOC_KICK:
		return rtshm_state_kick(file);
	default:
		return -ENOTTY;
	}
}

const struct file_operations rtshm_state_fops = {
	.owner = THIS_MODULE,
	.open = rtshm_state_open,
	.release = rtshm_state_release,
	.llseek = rtshm_state_llseek,
	.read_iter = rtshm_state_transfer,
	.write_iter = rtshm_state_transfer,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.poll = rtshm_state_poll,
	.mmap = rtshm_state_mmap,
	.unlocked_ioctl = rtshm_state_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	/* msync(2), too: memory has nothing to be written back to. */
	.fsync = noop_fsync,
};
