/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls under test, and what scenarios need to look at them. The numbers can be overridden with -D, for
 * kernels where others own them. Include nolibc.h and ktap.h before it.
 */
#ifndef KVS_H
#define KVS_H

#ifndef KVS_NR_INSERT
#define KVS_NR_INSERT 385
#endif
#ifndef KVS_NR_SEARCH
#define KVS_NR_SEARCH 386
#endif
#ifndef KVS_NR_DELETE
#define KVS_NR_DELETE 387
#endif

#define NR_time 13
#define NR_sysinfo 116

/* What kmalloc grants at most: KMALLOC_MAX_SIZE of 32-bit x86 */
#define KVS_LONGEST (4UL << 20)
#define KERNEL_ADDRESS 0xc0100000UL
#define FILL 0x5a

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

/* For keys and values that are words, without their zero byte */
#define insert_word(key, val) kvs_insert(key, length_of(key), val, length_of(val))
#define delete_word(key) kvs_delete(key, length_of(key))

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

/* Bytes that show where they come from: no two values of one length but with other seeds are the same. */
static UNUSED void fill(char *to, unsigned long length, unsigned int seed)
{
	unsigned long i;

	for (i = 0; i < length; i++)
		to[i] = (char)(i < 4 ? seed >> 8 * i : (seed + i) * 0x9e3779b1U >> 24);
}

/* A set-up that must work before the scenario can say anything: the key has this value afterwards. */
#define NEED_PUT(key, keylen, val, vallen)                                                                             \
	NEED_RET(kvs_insert(key, keylen, val, vallen), 0, "3.1-2", "kvs_insert of a new key returns 0")
#define NEED_WORD(key, val) NEED_PUT(key, length_of(key), val, length_of(val))

/* What kvs_search finds: the value whole and nothing else, in a buffer that is larger. One of up to 64 KiB. */
#define EXPECT_VALUE(key, keylen, val, vallen, ...)                                                                    \
	ktap_check(kvs_is(key, keylen, val, vallen, (vallen) + 16), 0, __VA_ARGS__)
#define NEED_VALUE(key, keylen, val, vallen, ...)                                                                      \
	ktap_check(kvs_is(key, keylen, val, vallen, (vallen) + 16), 1, __VA_ARGS__)
#define EXPECT_WORD(key, val, ...) EXPECT_VALUE(key, length_of(key), val, length_of(val), __VA_ARGS__)
#define EXPECT_NONE(key, keylen, ...) ktap_check(ktap_returned(kvs_find(key, keylen), 0), 0, __VA_ARGS__)

static char kvs_buffer[65536 + 64];

static UNUSED int kvs_is(const void *key, unsigned long keylen, const void *val, unsigned long vallen,
			 unsigned long room)
{
	memset(kvs_buffer, FILL, room);
	return ktap_returned(kvs_search(key, keylen, kvs_buffer, room), 1) && ktap_same_bytes(kvs_buffer, val, vallen);
}

/* How many bytes of a buffer that was filled are neither that nor zero: only the kernel can have put them there. */
static UNUSED unsigned int foreign(const char *buffer, unsigned long length)
{
	unsigned int count = 0;

	while (length--)
		count += buffer[length] && buffer[length] != FILL;
	return count;
}

static UNUSED long kvs_find(const void *key, unsigned long keylen)
{
	return kvs_search(key, keylen, kvs_buffer, sizeof(kvs_buffer));
}

/*
 * A call that must fail. That it does is one requirement, with which number another one (L1): a wrong number is no
 * other mistake.
 */
#define EXPECT_FAILURE(call, ids, ...)                                                                                 \
	do {                                                                                                           \
		long kvs_ret = (call);                                                                                 \
                                                                                                                       \
		if (kvs_ret >= 0)                                                                                      \
			NOTE("got %d, expected a failure", (int)kvs_ret);                                              \
		ktap_check(kvs_ret < 0, 0, ids, __VA_ARGS__);                                                          \
		if (kvs_ret < 0)                                                                                       \
			EXPECT_RET(kvs_ret, -1, "L1", "and is -1");                                                    \
	} while (0)

/* Unreclaimable slab, and free memory of any kind, in KiB. */
static UNUSED long meminfo(const char *key)
{
	static char text[4096];
	long value = 0, fd = sys3(NR_open, "/proc/meminfo", O_RDONLY, 0);
	long count = sys3(NR_read, fd, text, sizeof(text) - 1);
	unsigned long i;
	char *at;

	sys1(NR_close, fd);
	if (count < 0)
		die("/proc/meminfo", count);
	text[count] = '\0';
	for (at = text; *at; at++) {
		for (i = 0; key[i] && at[i] == key[i]; i++)
			;
		if (!key[i])
			break;
	}
	for (; *at && (*at < '0' || *at > '9'); at++)
		;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	return value;
}

static UNUSED void pause_ms(long milliseconds)
{
	long time[2] = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	sys2(NR_nanosleep, time, 0);
}

#endif
