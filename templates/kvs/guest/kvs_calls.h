/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls under test, and bytes to hand them. The numbers can be overridden with -D, for kernels where others
 * own them. Include nolibc.h before it.
 */
#ifndef KVS_CALLS_H
#define KVS_CALLS_H

#ifndef KVS_NR_INSERT
#define KVS_NR_INSERT 385
#endif
#ifndef KVS_NR_SEARCH
#define KVS_NR_SEARCH 386
#endif
#ifndef KVS_NR_DELETE
#define KVS_NR_DELETE 387
#endif

/* What kmalloc grants at most: KMALLOC_MAX_SIZE of 32-bit x86 */
#define KVS_LONGEST (4UL << 20)
#define FILL 0x5a /* what buffers hold before a search; in no value that fill() makes */

static UNUSED long kvs_insert(const void *key, unsigned long keylen, const void *val, unsigned long vallen)
{
	return sys5(KVS_NR_INSERT, (long)key, (long)keylen, (long)val, (long)vallen, 0);
}

static UNUSED long kvs_search(const void *key, unsigned long keylen, void *val, unsigned long max_vallen)
{
	return sys5(KVS_NR_SEARCH, (long)key, (long)keylen, (long)val, (long)max_vallen, 0);
}

static UNUSED long kvs_delete(const void *key, unsigned long keylen)
{
	return sys2(KVS_NR_DELETE, key, keylen);
}

/* Memory of one's own, all zero. */
static UNUSED char *memory(unsigned long length)
{
	long start = sys_mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (is_error(start))
		die("mmap", start);
	return (char *)start;
}

/* The end of a mapped page with nothing mapped behind it. */
static UNUSED char *edge(void)
{
	char *start = memory(2 * PAGE_SIZE);

	sys2(NR_munmap, start + PAGE_SIZE, PAGE_SIZE);
	return start + PAGE_SIZE;
}

/* Bytes that show what they are made of. None is zero or FILL; eight and more are different for each seed. */
static UNUSED void fill(char *to, unsigned long length, unsigned int seed)
{
	unsigned long i;

	for (i = 0; i < length; i++)
		to[i] = (char)(i < 8 ? 'a' + (seed >> 4 * i & 15) : (((seed + i) * 0x9e3779b1U >> 24) | 0x81));
}

#endif
