/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Everything that crosses the border between the kernel and user space.
 *
 * Three readers share this page: the BPF programs (C), the addon (C++) and, by way of the BTF that clang
 * writes from it, the decoder (TypeScript): no offset is written down twice. To add a field to a record,
 * add one line to its struct and one to the program that fills it.
 *
 * What is pinned (maps of one element unless another count is given), below the pin directory:
 *
 *   v1/host               struct host_control     shared by every stream
 *   v1/exec_stream        struct stream_control   identity and account of the stream "exec"
 *   v1/exec_handoff       struct handoff          one a possible CPU: from the dispatcher to slot 0
 *   v1/exec_programs      program array           slot 0 is the program that writes the records
 *   v1/exec_rules         struct exec_rule        EXEC_RULES; what each rule has kept out
 *   v1/exec_marks         struct exec_mark        task storage; the processes whose exec was kept out
 *   v1/exec_fork_link     link                    the program on sched_process_fork that hands the mark on
 *   v1/exec_failed_link   link                    the dispatcher of failed execs on sys_exit, only when they are captured
 *   v1/exec_failed_handoff, _programs             as exec_handoff and exec_programs, of that dispatcher
 *   v1/exec_dispatcher    program                 the dispatcher, for its statistics
 *   v1/exec_link          link                    the dispatcher on sched_process_exec; pinned last
 *   v1/g1/exec_ring           ring buffer         struct exec_record and what it spans
 *   v1/g1/exec_ring_control   struct ring_control wake-up and commits of that ring
 *   v1/g1/exec_bare_ring          the same two for what finds no room in exec_ring: the first EXEC_BARE_BYTES
 *   v1/g1/exec_bare_ring_control  of its record
 *   v1/g1/exec_layout         text                how the records of that generation are laid out (native/layout.cpp)
 *
 *   The same with `exit` for `exec`, but for rules, marks and the bare ring: the stream "exit". A capture of a version without
 *   it gets them when it goes on.
 *
 *   v1/packet_control         struct packet_control    identity and commits of the streams "packets:INTERFACE"
 *   v1/packet_interfaces      struct packet_interface  PACKET_INTERFACES; the table of interfaces
 *   v1/packet_counters        struct packet_counters   2 * PACKET_INTERFACES, for each CPU
 *   v1/packet_flows_0, _1     hash                     struct packet_key -> struct packet_count, by parity of the epoch
 *   v1/packet_link_N          link                     the XDP program on the interface with index N
 *
 * "v1" is PIN_LAYOUT_VERSION, "g1" the generation of the rings: programs with another record layout get rings of their own
 * beside the old ones, g2, and the sequence goes on. The old rings are read to their end and unpinned; their control stays,
 * for its totals. The newest generation that is complete is the one that programs write to.
 *
 * Structs have no implicit padding (-Wpadded is an error), so both compilers lay them out alike. All
 * words that programs and user space share are naturally aligned and of 64 bits.
 */
#ifndef BPF2KAFKA_ABI_H
#define BPF2KAFKA_ABI_H

#include <linux/types.h>

#define PIN_LAYOUT_VERSION 1

/* Words that different CPUs write are kept this far apart (bytes). */
#define CACHE_LINE 64

/* ---------------------------------------------------------------- shared by every stream ---------- */

/*
 * From from_boot_ns on, wall time = time since boot + realtime_minus_boot_ns. Kept here and not in the
 * reader, so that a record that is read again after a restart gets the same wall time.
 */
struct clock_offset {
	__u64 from_boot_ns;	      /* CLOCK_BOOTTIME, ns */
	__s64 realtime_minus_boot_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME, ns */
};

/* One for each change of more than 5 ms, at most one in 10 s: days of a clock that drifts, hours of one that is slewed. */
#define CLOCK_OFFSETS 1024

/* The dispatcher of one stream of events. */
struct attachment {
	__u64 unobserved_ns;	/* how long it was detached since attach_id */
	__u64 detached_boot_ns; /* since when it is, CLOCK_BOOTTIME, ns; 0: it is attached */
	/* The dispatcher that was loaded with this number counts; any other returns at once. 0: none does. */
	__u64 number;
};

#define ORPHANED (1ULL << 63)

/* Who moves the consumer positions. The flock on the pin directory decides; this only names its holder. */
struct owner {
	__u64 pid;	     /* in its own pid namespace; 0: nobody */
	__u64 start_boot_ns; /* when it took over, CLOCK_BOOTTIME, ns */
};

struct host_control {
	__u64 pin_layout; /* PIN_LAYOUT_VERSION */
	__u64 complete;	  /* 1 once everything of exec but the link is pinned; before that, a start begins anew */
	__u64 attach_id;  /* CLOCK_BOOTTIME at which the pins were created, us; seq and epoch start here */
	struct owner owner;
	struct attachment exec;

	/*
	 * The consistent cut of every stream. Each run of each program reads it once, at entry, and uses
	 * that value for all its counters and its record. Only the owner writes it.
	 */
	__u64 epoch;
	__u64 boundary_boot_ns[2]; /* by parity of the epoch: when that epoch began, CLOCK_BOOTTIME, ns */
	__u64 clock_count;	   /* offsets written so far; the newest is clock[(clock_count - 1) % CLOCK_OFFSETS] */
	struct attachment exit;
	/*
	 * Until when somebody reads what is captured: CLOCK_MONOTONIC, ns, which the owner moves on; 0: for ever. A dispatcher
	 * that finds it passed writes since when nothing is captured, CLOCK_BOOTTIME, ns, with the bit ORPHANED.
	 */
	__u64 read_until;
	struct clock_offset clock[CLOCK_OFFSETS];
};

/* Only ever grow. Indexed by the parity of the epoch that the run latched. */
struct stream_counters {
	__u64 entered;	    /* runs of the dispatcher */
	__u64 fell_through; /* of those: slot 0 was empty; lost */
	__u64 ring_full;    /* of those: no room for the record, nor for the beginning of it; lost */
	__u64 ring_busy;    /* of those: room, but the ring's lock was not to be had; lost */
	__u64 bare;	    /* of those: only the beginning of the record had room, in the ring for that */
	__u64 reserved[3];
};

/* entered = fell_through + exec_rule.execs (or exits) + ring_full + ring_busy + records in the rings, for each parity and cut. */

struct stream_control {
	/* Of the next record. A record that finds no room has used its number: the hole is the loss. */
	__u64 seq;
	/* Runs that the kernel skipped (recursion_misses) under dispatchers that were detached since attach_id. */
	__u64 skipped_before;
	__u64 reserved[6];
	struct stream_counters counters[2];
};

/* The dispatcher and the program in slot 0 run on one CPU, and the kernel lets no second one start there. */
struct handoff {
	__u64 epoch;
	__u64 reserved[7];
};

/* ---------------------------------------------------------------- one ring ------------------------ */

/* The record of every stream begins with it, so that one reader can walk any ring. */
struct record_head {
	__u64 seq;
	__u64 epoch; /* latched at entry */
};

/* What the reader did with the records up to a consumer position; totals since attach_id. */
enum user_counter {
	USER_ACKNOWLEDGED, /* records that the broker has acknowledged */
	USER_UNDECODABLE,  /* records of a known layout that made no sense; lost */
	USER_CORRUPT,	   /* times that the ring's chain of headers was broken and skipped; lost, number unknown */
	USER_CORRUPT_BYTES,
	USER_FIRST_OFFSET, /* in the topic, of the first record that was acknowledged there, plus 1; 0: none yet */
	USER_LAST_OFFSET,  /* of the last one, plus 1 */
	USER_SPOOLED,	   /* records that were moved to the spool, on disk */
	USER_SPOOL_ID,	   /* of the spool that has them; 0: nothing was moved yet */
	/* What became of those. The spool counts them; these say it where the spool is not at hand. */
	USER_SPOOL_ACKNOWLEDGED,
	USER_SPOOL_EVICTED, /* dropped when it was full; lost */
	USER_SPOOL_MISSING, /* it was not there any more, or was another one; lost */
	USER_COUNTERS = 14,
};

/*
 * Two of them, so that a commit is one store: write the slot whose position is not the consumer
 * position, then store the consumer position. After a crash the slot that matches it is the truth.
 */
struct commit_slot {
	__u64 position; /* consumer position, bytes since the ring was made */
	__u64 counters[USER_COUNTERS];
	__u64 reserved;
};

struct ring_control {
	/* FNV-1a of the names, offsets and sizes of the record's fields, and of its limits; 0 until all of the generation is set up */
	__u64 layout_hash;
	__u64 program_hash; /* FNV-1a of the object file whose program is in slot 0, and of its settings */
	__u64 ring_bytes;
	__u64 high_water; /* most bytes that ever waited at a read */
	/* What the reader adds to positions, so that they go on over the generations and name no place twice. */
	__u64 position_base;
	__u64 reserved[3];

	/* 1: the reader sleeps. The program that swaps it to 0 wakes the reader. */
	__u64 armed;
	__u64 reserved_2[7];
	struct commit_slot commits[2];
};

/* ---------------------------------------------------------------- exec ---------------------------- */

/* How strings were captured: who reads a record must know it as well as the layout, so both carry it. */
enum exec_limit {
	/* ARG_MAX is 6 MiB at most (fs/exec.c, bprm_stack_limits); what is longer than this keeps head and tail. */
	ARGS_CAPTURED_BYTES = 32768,
	ARGS_TAIL_BYTES = 8192,
	/* Of the environment the head; what is longer is cut. */
	ENV_CAPTURED_BYTES = 8192,
	/* Both are read page by page, since one absent page must not cost the others. */
	ARGS_PAGE_BYTES = 4096,
	ANCESTOR_BYTES = 32, /* of struct exec_ancestor */
	EXEC_BARE_BYTES = 104, /* of struct exec_record, from its start: all that a bare record has */
};
#define ARGS_HEAD_BYTES (ARGS_CAPTURED_BYTES - ARGS_TAIL_BYTES)
#define ARGS_READS 10 /* 7 for the head, 3 for the tail, when neither begins at a page; 9 of one that is whole */

#define PATH_BYTES 4096	       /* PATH_MAX (include/uapi/linux/limits.h), with its NUL */
#define NAME_BYTES 256	       /* NAME_MAX + 1 */
#define PATH_NAMES 128	       /* in a path, or in that of a cgroup; a power of two */
#define INTERPRETER_BYTES 2048 /* a script's is below 256 (BINPRM_BUF_SIZE), binfmt_misc's below 1920 (fs/binfmt_misc.c) */
#define TTY_BYTES 64	       /* tty_struct.name (include/linux/tty.h) */
#define COMM_BYTES 16	       /* TASK_COMM_LEN (include/linux/sched.h) */
#define ANCESTORS 8

/* Where a string stands: bytes from the start of the record, without a NUL. */
struct span {
	__u16 offset;
	__u16 length;
};

/* Bits of `unread`. In lower case and without the prefix it is the name of the field in the topic. */
enum exec_field {
	EXEC_FIELD_FILENAME,
	EXEC_FIELD_EXE,
	EXEC_FIELD_INTERPRETER,
	EXEC_FIELD_CWD,
	EXEC_FIELD_ARGS,
	EXEC_FIELD_ENV,
	EXEC_FIELD_TTY,
	EXEC_FIELD_NS_PID,
	EXEC_FIELD_NS_PID_ID,
	EXEC_FIELD_SECCOMP_MODE,
	EXEC_FIELD_FILE_OVERLAY_UPPER,
	EXEC_FIELD_CGROUP_PATH,
};

/* Bits of `flags`. */
enum exec_flag {
	EXEC_FLAG_NO_NEW_PRIVS,
	EXEC_FLAG_SETUID,
	EXEC_FLAG_SETGID,
	EXEC_FLAG_EXE_TRUNCATED,
	EXEC_FLAG_FILE_MEMFD,
	EXEC_FLAG_FILE_DELETED,
	EXEC_FLAG_FILE_OVERLAY_UPPER,
	EXEC_FLAG_ENV, /* the environment was to be captured */
};

/* How much of argv is captured: the values of --args. */
enum exec_args {
	EXEC_ARGS_FULL,
	EXEC_ARGS_PROGRAM, /* argv[0], up to ARGS_PAGE_BYTES with its NUL */
	EXEC_ARGS_NONE,
};

struct exec_ancestor {
	__u64 start_boot_ns; /* as in exec_record */
	__u32 pid;
	__u32 exec_count; /* the lower half */
	char comm[COMM_BYTES];
};

struct exec_record {
	__u64 seq;
	__u64 epoch;	     /* latched at entry */
	__u64 boot_ns;	     /* of the exec, past the point of no return, CLOCK_BOOTTIME, ns */
	__u64 start_boot_ns; /* of the process (its first thread), CLOCK_BOOTTIME, ns */
	__u64 exec_count;    /* task_struct.self_exec_id: tells the execs of one process apart */
	__u64 parent_start_boot_ns;
	__u64 parent_exec_count;
	__u64 cgroup_id;  /* of the unified (v2) hierarchy */
	__u32 pid; /* thread group, host pid namespace, like all here */
	__u32 tid; /* the thread that called; after the exec it goes by pid */
	__u32 ppid;
	__u32 uid; /* ids are those of the initial user namespace */
	char comm[COMM_BYTES];
	__s32 result; /* 0; of an exec that failed -errno, and then all that is of the new program is 0 or empty */
	__u32 reserved;
	/* Here a bare record ends. */
	__u64 unread;	  /* set of enum exec_field: could not be read */
	__u64 args_bytes; /* mm_struct.arg_end - arg_start: every argument with its NUL */
	__u64 args_absent; /* bit n: the n-th read of ARGS_READS failed; its bytes are zeros */
	__u64 env_bytes;   /* mm_struct.env_end - env_start; 0 without EXEC_FLAG_ENV */
	__u64 env_absent;  /* as args_absent */
	__u64 cap_effective; /* capabilities after the exec, bit n is capability n (include/uapi/linux/capability.h) */
	__u64 cap_permitted;
	__u64 cap_inheritable;
	__u64 cap_ambient;
	__u64 cap_bounding;
	__u64 file_inode;
	__s64 file_mtime_ms; /* CLOCK_REALTIME, as stat says */
	__s64 file_ctime_ms;
	__u32 args_count;
	__u32 args_mode; /* enum exec_args */
	__u32 args_page_offset; /* of the first argument in its page: tells where the reads were cut */
	__u32 env_page_offset;
	__u32 sid;
	__u32 pgid;
	__u32 ns_pid; /* pid, in the process's own pid namespace */
	__u32 gid;
	__u32 euid;
	__u32 egid;
	__u32 suid;
	__u32 sgid;
	__u32 loginuid; /* of audit, as the session; 0xffffffff: not set */
	__u32 session_id;
	__u32 seccomp_mode; /* 0: none, 1: strict, 2: filter */
	__u32 flags;	    /* set of enum exec_flag */
	__u32 ns_mnt;	    /* inode numbers of the namespaces, as in /proc/PID/ns */
	__u32 ns_pid_id;
	__u32 ns_net;
	__u32 ns_user;
	__u32 ns_cgroup;
	__u32 file_device; /* of the file system: major << 20 | minor, the kernel's own encoding */
	__u32 file_mode;   /* type and permissions, as st_mode */
	__u32 file_uid;
	__u32 file_gid;
	__u32 file_nlink;
	struct span filename;	 /* as given; of a script, the script */
	struct span interpreter; /* of a script: what it names; otherwise empty */
	struct span exe;
	struct span cwd;
	struct span tty; /* the kernel's name, as pts0 or tty1; empty without one */
	struct span cgroup_path; /* kernfs_node_of_process (cgroup.h) says of which hierarchy */
	struct span ancestors; /* struct exec_ancestor each, the parent first; ends before pid 0 */
	struct span args;      /* head and tail follow each other without a mark */
	struct span env;       /* NAME=value, each with a NUL */
	__u32 reserved_2;
	char parent_comm[COMM_BYTES];
	/* Take no room: they carry the names and numbers into the BTF. */
	struct exec_ancestor ancestor[0];
	enum exec_field field_names[0];
	enum exec_flag flag_names[0];
	enum exec_args args_modes[0];
	enum exec_limit limits[0];
};

/* What the strings of a record take at most. They start behind struct exec_record, the ancestors first. */
#define EXEC_DATA_BYTES                                                                                                \
	(ANCESTORS * sizeof(struct exec_ancestor) + 4 * PATH_BYTES + INTERPRETER_BYTES + TTY_BYTES +                   \
	 ARGS_CAPTURED_BYTES + ENV_CAPTURED_BYTES)

/* What a rule looks at. In lower case, after "exclude_", it begins the rule's name. */
enum exec_rule_kind {
	EXEC_RULE_EXE,	  /* exec_record.exe: a path, or the beginning of paths */
	EXEC_RULE_UID,	  /* exec_record.uid */
	EXEC_RULE_CGROUP, /* exec_record.cgroup_path: a cgroup with all below it */
	EXEC_RULE_KINDS,
};

#define EXEC_RULES 256
#define EXEC_RULE_PATH_BYTES 256 /* of a path a rule sees so much (LPM_DATA_SIZE_MAX, kernel/bpf/lpm_trie.c) */
#define EXEC_RULE_NAME_BYTES 272

/*
 * A rule that an attach ever had, and what it kept out of the rings: that has no record and no number. An entry is never
 * used again, so that totals stay totals when rules go and come. The first EXEC_RULE_KINDS entries are for rules that
 * find no entry left: each counts for all such rules of its kind.
 */
struct exec_rule {
	__u64 execs[2]; /* by parity of the epoch; only ever grow */
	__u64 exits[2]; /* the same of processes whose exec it kept out */
	char name[EXEC_RULE_NAME_BYTES]; /* as exclude_uid:1000; of the first entries without the value. Empty: free */
};

/* On the first thread of a process. It says nothing once the process has made another exec. */
struct exec_mark {
	__u64 exec_count; /* task_struct.self_exec_id after the exec that a rule kept out */
	__u64 rule;	  /* its place among EXEC_RULES */
};

/* ---------------------------------------------------------------- exit ---------------------------- */

/* Bits of `unread`, as enum exec_field. */
enum exit_field {
	EXIT_FIELD_CONTAINER_ID,
	EXIT_FIELD_USER_TIME_MICROS,
	EXIT_FIELD_SYSTEM_TIME_MICROS,
};

/* The end of a process: of the last thread of its group. */
struct exit_record {
	__u64 seq;
	__u64 epoch;	     /* latched at entry */
	__u64 boot_ns;	     /* of the exit, CLOCK_BOOTTIME, ns */
	__u64 start_boot_ns; /* these two as in exec_record: with pid they name the process and what it ran */
	__u64 exec_count;
	__u64 unread;	     /* set of enum exit_field: could not be read */
	__u64 user_ns;	     /* CPU time of all threads that there were, as the kernel's ticks saw it */
	__u64 system_ns;
	__u64 cpu_ns;	     /* both together, as its scheduler measured it; since the last tick it did not */
	__u64 max_rss_bytes; /* the most memory that it had resident */
	__u32 pid;	     /* thread group, host pid namespace */
	__u32 status;	     /* as wait(2) tells it: exit code << 8, or 0x80 when it dumped core, and the signal */
	struct span cgroup_path;
	__u32 reserved;
	char comm[COMM_BYTES]; /* of the thread group's leader */
	/* Takes no room: it carries the names into the BTF. */
	enum exit_field field_names[0];
};

#define EXIT_DATA_BYTES PATH_BYTES

/* ---------------------------------------------------------------- packets ------------------------- */

/*
 * Two maps of flows, by parity of the epoch. The programs write to the one of the epoch that they latched;
 * the other one is frozen: it is read without being changed, published, and cleared only when the broker has
 * acknowledged all of it. Only then does the epoch advance again.
 */

struct packet_count {
	__u64 packets;
	__u64 bytes; /* of frames, from the Ethernet header on, as XDP sees them */
};

/* Which fields of packet_key are set; the others are 0. interface_index always is. The values of --packet-key. */
enum packet_key_kind {
	PACKET_KEY_FLOW,    /* all */
	PACKET_KEY_SERVICE, /* all but source_port, where it is a port */
	PACKET_KEY_HOSTS,   /* family and addresses */
	PACKET_KEY_EXAMPLE, /* family, protocol, source address, ports */
};

struct packet_key {
	__u32 interface_index;
	__u8 family;		/* 4 or 6 */
	__u8 protocol;		/* IANA number; of IPv6 the one behind all extension headers */
	__u16 vlan;		/* VLAN id of the outer tag, plus 1; 0: no tag */
	__u16 source_port;	/* host byte order; of ICMP and ICMPv6 the type; 0 without ports */
	__u16 destination_port; /* host byte order; of ICMP and ICMPv6 the code */
	__u8 source[16];	/* IPv4 in the first four */
	__u8 destination[16];
};

/* What is counted without a key. In lower case and without the prefix they are the names in the topic. */
enum packet_class {
	PACKET_CLASS_FRAGMENT,	/* not the first of its datagram: it carries no ports */
	PACKET_CLASS_MALFORMED, /* headers cut off, or lengths that are impossible */
	PACKET_CLASS_NON_IP,
	PACKET_CLASS_OVERFLOW, /* the map has no room for its key */
	PACKET_CLASS_FILTERED, /* an address is excluded */
	PACKET_CLASSES,
	PACKET_KEYED = PACKET_CLASSES,
};

/*
 * Of one interface and one parity, on one CPU. They only ever grow. `seen` is counted before anything is
 * looked at, so that for each interface and epoch it has to be the sum of the keys and the classes.
 */
struct packet_counters {
	struct packet_count seen;
	struct packet_count classes[PACKET_CLASSES];
	__u64 keys; /* inserted into the map */
	__u64 reserved[3];
};

enum packet_limit {
	PACKET_INTERFACES = 256, /* of an attach, gone ones included: an entry is never used again */
	PACKET_PROBES = 8,	 /* an interface stands at its index modulo PACKET_INTERFACES, or so far behind it */
	INTERFACE_NAME_BYTES = 16, /* IFNAMSIZ (include/uapi/linux/if.h) */
};

enum packet_link_type {
	PACKET_LINK_ETHERNET,
	PACKET_LINK_IP, /* no header below IP: tun, wireguard and others */
};

enum packet_mode {
	PACKET_MODE_NATIVE,
	PACKET_MODE_GENERIC,
	PACKET_MODE_OFFLOAD,
};

/* Fixed for an attach but for the two times, so that what is read again after a crash is told alike. */
struct packet_interface {
	__u64 index;		/* 0: no entry */
	__u64 link_type;	/* enum packet_link_type */
	__u64 mode;		/* enum packet_mode */
	__u64 unobserved_ns;	/* how long it was without the program, since it got it first */
	__u64 observed_boot_ns; /* when it was last known to have it, CLOCK_BOOTTIME, ns; 0: not yet */
	/* By parity, what the counters of all CPUs were when they were last acknowledged. */
	struct packet_counters base[2];
	char name[INTERFACE_NAME_BYTES];
	char kind[INTERFACE_NAME_BYTES];
	char parent[INTERFACE_NAME_BYTES]; /* empty: none */
};

/* As commit_slot, with an epoch for a position: the slot whose epoch is acked_epoch is the truth. */
struct packet_commit {
	__u64 epoch;
	__u64 first_offset; /* in the topic, of the first record that was acknowledged there, plus 1; 0: none yet */
	__u64 last_offset;  /* of the last one, plus 1 */
	__u64 reserved;
	/* By entry of the table: packets in acknowledged records, filtered ones left out; totals since attach_id. */
	__u64 published[PACKET_INTERFACES];
};

struct packet_control {
	__u64 complete;	    /* 1 once everything is pinned; before that, a start begins anew */
	__u64 layout_hash;  /* as ring_control.layout_hash, of packet_key */
	__u64 program_hash; /* as ring_control.program_hash */
	__u64 key_kind;	    /* enum packet_key_kind */
	__u64 flows;	    /* keys that each map holds */
	__u64 network_namespace; /* inode number of the one that the interfaces are in */
	__u64 acked_epoch;  /* everything up to it is acknowledged */
	__u64 cleared_epoch; /* and its map is empty again; the epoch may advance */
	struct packet_commit commits[2];
	/* Take no room: they carry the names and numbers into the BTF. */
	enum packet_key_kind key_kinds[0];
	enum packet_class class_names[0];
};

#endif
