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

/* Moves a piece with one access to the region, between it and memory of the kernel's own. */
static __always_inline void rtshm_move_piece(void *mem, void *own, size_t piece, bool in)
{
	switch (piece) {
	case 8:
		if (in)
			WRITE_ONCE(*(u64 *)mem, get_unaligned((u64 *)own));
		else
			put_unaligned(READ_ONCE(*(u64 *)mem), (u64 *)own);
		break;
	case 4:
		if (in)
			WRITE_ONCE(*(u32 *)mem, get_unaligned((u32 *)own));
		else
			put_unaligned(READ_ONCE(*(u32 *)mem), (u32 *)own);
		break;
	case 2:
		if (in)
			WRITE_ONCE(*(u16 *)mem, get_unaligned((u16 *)own));
		else
			put_unaligned(READ_ONCE(*(u16 *)mem), (u16 *)own);
		break;
	default:
		if (in)
			WRITE_ONCE(*(u8 *)mem, *(u8 *)own);
		else
			*(u8 *)own = READ_ONCE(*(u8 *)mem);
	}
}

/* The range is inside the region. */
static __always_inline void rtshm_move(const struct rtshm_region *region, size_t pos,
				       void *own, size_t len, bool in)
{
	void *mem = (void __force *)region->mem;
	size_t piece;

	for (; len; pos += piece, own += piece, len -= piece) {
		/* All but the ends, in a loop of a few instructions. */
		for (piece = 8; !(pos % piece) && len > piece;
		     pos += piece, own += piece, len -= piece)
			rtshm_move_piece(mem + pos, own, 8, in);
		piece = rtshm_piece(pos, len);
		rtshm_move_piece(mem + pos, own, piece, in);
	}
}

/*
 * Process context. No tick and no read(2) sees part of it. At most a page, which bounds the
 * time with interrupts off.
 */
void rtshm_copy_in(struct rtshm_region *region, size_t pos, const void *from, size_t len)
{
	scoped_guard(raw_spinlock_irqsave, &region->lock) {
		write_seqcount_begin(&region->sequence);
		rtshm_move(region, pos, (void *)from, len, true);
		write_seqcount_end(&region->sequence);
	}
}

/* Process context. Takes the lock where writers leave no time between them. */
void rtshm_copy_out(struct rtshm_region *region, size_t pos, void *to, size_t len)
{
	unsigned int sequence;

	for (int tries = 0; tries < RTSHM_COPY_TRIES; tries++) {
		sequence = read_seqcount_begin(&region->sequence);
		rtshm_move(region, pos, to, len, false);
		if (!read_seqcount_retry(&region->sequence, sequence))
			return;
	}
	scoped_guard(raw_spinlock_irqsave, &region->lock)
		rtshm_move(region, pos, to, len, false);
}
