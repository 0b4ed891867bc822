// SPDX-License-Identifier: GPL-2.0-only
/* One store for the whole machine, which processes come to and leave. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define NR_setuid32 213
#define SIGKILL 9

/* Runs a function in a process of its own; returns its exit status. */
static int in_a_child(int (*run)(void))
{
	int status = -1;
	long child = sys0(NR_fork);

	if (!child)
		leave(run());
	sys3(NR_waitpid, child, &status, 0);
	return status;
}

static int insert(void) { return !kvs_done(insert_word("child's", "value")); }
static int find(void) { return !kvs_is("key", 3, "value", 5, 16); }
static int replace(void) { return !kvs_done(insert_word("key", "other")); }
static int remove(void) { return !kvs_done(delete_word("key")); }
static int find_as_another_user(void) { return is_error(sys1(NR_setuid32, 1000)) || find(); }

SCENARIO(parent_and_child, "L10",
	  "What a child inserts, replaces or deletes is so for its parent, and the other way round")
{
	need_basics();
	NEED_WORD("key", "value");
	EXPECT_EQ(in_a_child(find), 0, "L10", "the child finds what its parent has inserted");
	NEED_EQ(in_a_child(insert), 0, "3.1-2", "the child inserts an entry");
	EXPECT_WORD("child's", "value", "L10", "the parent finds what its child has inserted");
	NEED_EQ(in_a_child(replace), 0, "3.1-2", "the child replaces the parent's value");
	EXPECT_WORD("key", "other", "L10", "the parent finds the new value");
	NEED_EQ(in_a_child(remove), 0, "3.3-2", "the child deletes the parent's key");
	EXPECT_NONE("key", 3, "L10", "the parent does not find it");
}

SCENARIO(another_user, "L10", "What one user's process inserts, another user's finds")
{
	NEED_WORD("key", "value");
	NEED_EQ(in_a_child(find), 0, "L10", "a child of the same user finds it");
	EXPECT_EQ(in_a_child(find_as_another_user), 0, "L10", "one of another user finds it");
}

static void __attribute__((noreturn)) work(void)
{
	static char val[9000];
	unsigned int i;
	char key[8];

	for (i = 0;; i++) {
		fill(key, sizeof(key), i % 64);
		kvs_insert(key, sizeof(key), val, i * 101 % sizeof(val) + 1);
		fill(key, sizeof(key), i * 7 % 64);
		kvs_search(key, sizeof(key), kvs_buffer, sizeof(kvs_buffer));
		kvs_delete(key, sizeof(key));
	}
}

SCENARIO(a_killed_process_leaves_a_sound_store, "3.6-2",
	  "A process that is killed in the middle of its calls leaves a store that works")
{
	long child;
	int i;

	need_basics();
	NEED_WORD("key", "value");
	for (i = 1; i <= 8; i++) {
		child = sys0(NR_fork);
		if (!child)
			work();
		pause_ms(40 * i);
		sys2(NR_kill, child, SIGKILL);
		sys3(NR_waitpid, child, 0, 0);
	}
	EXPECT_WORD("key", "value", "3.6-2", "an entry that was there before");
	EXPECT_DONE(insert_word("new", "value"), "3.6-2", "kvs_insert");
	EXPECT_WORD("new", "value", "3.6-2", "the value");
	EXPECT_DONE(delete_word("new"), "3.6-2", "kvs_delete");
	EXPECT_NONE("new", 3, "3.6-2", "a search after it");
}
