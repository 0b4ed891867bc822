// SPDX-License-Identifier: GPL-2.0-only
/* Where kvs_search puts a value, and what it leaves alone. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

/* Whether all bytes but those from `start` to `end` are as they were filled. */
static int untouched(const char *buffer, unsigned long length, unsigned long start, unsigned long end)
{
	unsigned long i;

	for (i = 0; i < length; i++) {
		if ((i >= start && i < end) || buffer[i] == FILL)
			continue;
		NOTE("byte %d behind the end of the buffer: 0x%x", (int)(i - end), (unsigned char)buffer[i]);
		return 0;
	}
	return 1;
}

SCENARIO(a_buffer_of_the_exact_size, "3.2-1 L4",
	 "A value fits into a buffer of its size, at the end of mapped memory too")
{
	char *buffer = edge() - 5;
	long ret;

	NEED_WORD("key", "value");
	NEED_VALUE("key", 3, "value", 5, "3.1-1", "what was inserted is found in a larger buffer");
	NEED(kvs_is("key", 3, "value", 5, 5), "3.2-1", "and in one of its size");
	ret = kvs_search("key", 3, buffer, 5);
	EXPECT((ret >= 0 || ktap_returned(ret, 1)) && ktap_same_bytes(buffer, "value", 5), "L4",
	       "and in one with nothing mapped behind it");
}

SCENARIO(a_buffer_that_is_too_small, "L4",
	  "A value that does not fit is a failure or is cut, and nothing is written behind")
{
	char buffer[64];
	unsigned long room;
	long ret;

	NEED_WORD("key", "a value of 20 bytes.");
	NEED_VALUE("key", 3, "a value of 20 bytes.", 20, "3.1-1", "what was inserted is found in a larger buffer");
	for (room = 0; room < 20; room += room < 3 ? 1 : 8) {
		memset(buffer, FILL, sizeof(buffer));
		ret = kvs_search("key", 3, buffer + 16, room);
		if (ret >= 0)
			EXPECT_BYTES(buffer + 16, "a value of 20 bytes.", room, "L4", "as much as fits into %d",
				     (int)room);
		else
			EXPECT_RET(ret, -1, "L1", "kvs_search into %d bytes fails", (int)room);
		EXPECT(untouched(buffer, sizeof(buffer), 16, 16 + room), "L4", "what lies before and behind them");
	}
}

SCENARIO(not_a_byte_beside_the_buffer, "L4", "Whatever the lengths of value and buffer, no byte beside it is written")
{
	static char val[300], buffer[400];
	unsigned long length, room;
	unsigned int failed = 0, wrong = 0;

	fill(val, sizeof(val), 1);
	NEED_WORD("key", "value");
	for (length = 1; length <= 257; length += length < 9 ? 1 : 31) {
		failed += !kvs_done(kvs_insert(val, length, val, length));
		for (room = 1; room <= 300; room += room < 18 ? 1 : 47) {
			memset(buffer, FILL, sizeof(buffer));
			kvs_search(val, length, buffer + 32, room);
			wrong += !untouched(buffer, sizeof(buffer), 32, 32 + room);
		}
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail");
	EXPECT_EQ(wrong, 0, "L4", "searches that wrote beside the buffer");
}

SCENARIO(behind_the_value_is_no_kernel_memory, "L5",
	  "In the rest of the buffer is nothing that only the kernel can have put there")
{
	static const unsigned int lengths[] = { 9, 33, 100, 500 };
	static char buffer[4096];
	char key[8], val[500];
	unsigned int i, j, odd, failed = 0;

	NEED_WORD("key", "value");
	fill(val, sizeof(val), 1);
	/* Values of one length lie side by side in a slab: whoever copies too much copies the neighbours. */
	for (j = 0; j < 4; j++)
		for (i = 0; i < 64; i++) {
			fill(key, sizeof(key), j * 64 + i);
			failed += !kvs_done(kvs_insert(key, sizeof(key), val, lengths[j]));
		}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail");
	for (j = 0; j < 4; j++) {
		odd = 0;
		for (i = 0; i < 64; i++) {
			fill(key, sizeof(key), j * 64 + i);
			memset(buffer, FILL, sizeof(buffer));
			kvs_search(key, sizeof(key), buffer, sizeof(buffer));
			odd += foreign(buffer + lengths[j], sizeof(buffer) - lengths[j]) != 0;
		}
		EXPECT_EQ(odd, 0, "L5", "searches for a value of %u bytes that left others behind it", lengths[j]);
	}
}

SCENARIO(a_buffer_that_is_larger_than_any_value, "3.2-1 L5",
	  "max_vallen may be what no value can have: nothing but the value is written")
{
	static const unsigned long rooms[] = { KVS_LONGEST + 1, 0x7fffffffUL, 0x80000000UL, 0xffffffffUL };
	char *buffer = edge() - 64;
	unsigned int i;
	long ret;

	NEED_WORD("key", "value");
	for (i = 0; i < 4; i++) {
		memset(buffer, FILL, 64);
		ret = kvs_search("key", 3, buffer, rooms[i]);
		/* There is no buffer of this size, so a failure is right, too. */
		if (ret < 0)
			EXPECT_RET(ret, -1, "L1", "a search into 0x%x bytes fails", (unsigned int)rooms[i]);
		else
			EXPECT_BYTES(buffer, "value", 5, "3.2-1", "a search into 0x%x bytes", (unsigned int)rooms[i]);
		EXPECT_EQ(foreign(buffer + 5, 59), 0, "L5", "bytes of others behind the value");
	}
}
