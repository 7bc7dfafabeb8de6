// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies between the memory of a region and the kernel's own, consistent with the
 * ticks and with one another.
 *
 * A write(2), and a tick, change the memory with the region's lock held and
 * region->sequence odd. A read(2) holds no lock: it copies again until nobody has
 * changed the memory meanwhile, so that no tick waits for readers.
 */

#include "rtshm.h"

/* Copies that found the memory changed before the next one takes the lock. */
#define RTSHM_COPY_TRIES	16

/*
 * Returns the size of the largest naturally aligned piece, at most 8 bytes, at pos.
 * A naturally aligned field of up to 8 bytes is one load or store that way, for
 * processes that have the region mapped, too.
 */
static size_t rtshm_piece(size_t pos, size_t len)
{
	size_t piece = sizeof(u64);

	while (pos & (piece - 1) || piece > len)
		piece >>= 1;
	return piece;
}

static void rtshm_store_piece(void *mem, const void *from, size_t piece)
{
	switch (piece) {
	case 8:
		WRITE_ONCE(*(u64 *)mem, get_unaligned((const u64 *)from));
		break;
	case 4:
		WRITE_ONCE(*(u32 *)mem, get_unaligned((const u32 *)from));
		break;
	case 2:
		WRITE_ONCE(*(u16 *)mem, get_unaligned((const u16 *)from));
		break;
	default:
		WRITE_ONCE(*(u8 *)mem, *(const u8 *)from);
	}
}

static void rtshm_load_piece(const void *mem, void *to, size_t piece)
{
	switch (piece) {
	case 8:
		put_unaligned(READ_ONCE(*(const u64 *)mem), (u64 *)to);
		break;
	case 4:
		put_unaligned(READ_ONCE(*(const u32 *)mem), (u32 *)to);
		break;
	case 2:
		put_unaligned(READ_ONCE(*(const u16 *)mem), (u16 *)to);
		break;
	default:
		*(u8 *)to = READ_ONCE(*(const u8 *)mem);
	}
}

/*
 * region->lock held, region->sequence odd. At most a page, which bounds the time with
 * interrupts off; the range is inside the region.
 */
void rtshm_copy_in_locked(struct rtshm_region *region, size_t pos, const void *from,
			  size_t len)
{
	void *mem = (void __force *)region->mem;
	size_t piece;

	lockdep_assert_held(&region->lock);
	for (; len; pos += piece, from += piece, len -= piece) {
		/* All but the ends, in a loop of a few instructions. */
		for (piece = 8; !(pos % piece) && len > piece;
		     pos += piece, from += piece, len -= piece)
			rtshm_store_piece(mem + pos, from, 8);
		piece = rtshm_piece(pos, len);
		rtshm_store_piece(mem + pos, from, piece);
	}
}

/* Copies out without a lock or a look at region->sequence. */
void rtshm_copy_out_once(const struct rtshm_region *region, size_t pos, void *to,
			 size_t len)
{
	const void *mem = (const void __force *)region->mem;
	size_t piece;

	for (; len; pos += piece, to += piece, len -= piece) {
		for (piece = 8; !(pos % piece) && len > piece;
		     pos += piece, to += piece, len -= piece)
			rtshm_load_piece(mem + pos, to, 8);
		piece = rtshm_piece(pos, len);
		rtshm_load_piece(mem + pos, to, piece);
	}
}

/* Process context. No tick and no read(2) sees part of it. */
void rtshm_copy_in(struct rtshm_region *region, size_t pos, const void *from, size_t len)
{
	scoped_guard(raw_spinlock_irqsave, &region->lock) {
		write_seqcount_begin(&region->sequence);
		rtshm_copy_in_locked(region, pos, from, len);
		write_seqcount_end(&region->sequence);
	}
}

/* Process context. Takes the lock where writers leave no time between them. */
void rtshm_copy_out(struct rtshm_region *region, size_t pos, void *to, size_t len)
{
	unsigned int sequence;

	for (int tries = 0; tries < RTSHM_COPY_TRIES; tries++) {
		sequence = read_seqcount_begin(&region->sequence);
		rtshm_copy_out_once(region, pos, to, len);
		if (!read_seqcount_retry(&region->sequence, sequence))
			return;
	}
	scoped_guard(raw_spinlock_irqsave, &region->lock)
		rtshm_copy_out_once(region, pos, to, len);
}
