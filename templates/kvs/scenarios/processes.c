// SPDX-License-Identifier: GPL-2.0-only
/* One store for the whole machine. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define NR_setuid32 213

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

static int insert(void) { return insert_word("child's", "value") != 0; }
static int find(void) { return !kvs_is("key", 3, "value", 5, 16); }
static int replace(void) { return insert_word("key", "other") != 0; }
static int remove(void) { return delete_word("key") != 0; }

static int find_as_another_user(void)
{
	return is_error(sys1(NR_setuid32, 1000)) || find();
}

SCENARIO(parent_and_child, "L10", "What a child inserts, replaces or deletes is so for its parent, and the other way round")
{
	NEED_WORD("key", "value");
	EXPECT_EQ(in_a_child(find), 0, "L10", "the child finds what its parent has inserted");
	EXPECT_EQ(in_a_child(insert), 0, "3.1-2", "the child inserts an entry");
	EXPECT_WORD("child's", "value", "L10", "the parent finds what its child has inserted");
	EXPECT_EQ(in_a_child(replace), 0, "3.1-2", "the child replaces the parent's value");
	EXPECT_WORD("key", "other", "L10", "the parent finds the new value");
	EXPECT_EQ(in_a_child(remove), 0, "3.3-2", "the child deletes the parent's key");
	EXPECT_NONE("key", 3, "L10", "the parent does not find it");
}

SCENARIO(another_user, "L10", "What one user's process inserts, another user's finds")
{
	NEED_WORD("key", "value");
	EXPECT_EQ(in_a_child(find_as_another_user), 0, "L10", "it finds the value");
}
