/*
 * packet_send INTERFACE frames          sends the frames of standard input (for each u32 bytes, u32 times, the frame)
 * packet_send INTERFACE flows COUNT     sends COUNT frames of 64 bytes, each of another flow
 * packet_send INTERFACE flood MS FLOWS  sends such frames as fast as it can, for that long, flow after flow
 * packet_send INTERFACE tun             the interface, a tun device, receives the frames of standard input
 *
 * Past the queueing discipline, in the network namespace it is started in. What the interface has no room for is sent
 * again, so that each frame goes out exactly once. Prints how many did, and their bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define FLOW_BYTES 64
#define FRAME_BYTES 70000
/* An interface that takes nothing for that long is down or broken. */
#define PATIENCE_MS 10000

static unsigned long long frames_sent, bytes_sent;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int open_socket(const char *interface)
{
	const int yes = 1;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (!address.sll_ifindex)
		fail(interface);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes)) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("the socket");
	return fd;
}

static void send_all(int fd, struct mmsghdr *messages, unsigned int count)
{
	const uint64_t give_up = now_ms() + PATIENCE_MS;

	for (unsigned int sent = 0; sent < count;) {
		int done = sendmmsg(fd, messages + sent, count - sent, 0);

		if (done < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			fail("send");
		if (done <= 0) {
			if (now_ms() > give_up)
				fail("send");
			sched_yield();
			continue;
		}
		for (int i = 0; i < done; i++)
			bytes_sent += messages[sent + (unsigned int)i].msg_hdr.msg_iov->iov_len;
		frames_sent += (unsigned int)done;
		sent += (unsigned int)done;
	}
}

static void send_times(int fd, void *frame, size_t bytes, uint32_t times)
{
	struct iovec part = {frame, bytes};
	struct mmsghdr messages[AT_ONCE];

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < AT_ONCE; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
	for (; times > AT_ONCE; times -= AT_ONCE)
		send_all(fd, messages, AT_ONCE);
	send_all(fd, messages, times);
}

/* A tun device receives what a process writes to its file. */
static int open_tun(const char *interface)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
		fail("the tun device");
	return fd;
}

static void write_times(int fd, const void *frame, size_t bytes, uint32_t times)
{
	for (; times > 0; times--, frames_sent++, bytes_sent += bytes)
		if (write(fd, frame, bytes) != (ssize_t)bytes)
			fail("write");
}

static void send_frames(int fd, int is_tun)
{
	static unsigned char frame[FRAME_BYTES];
	uint32_t head[2];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		if (head[0] > FRAME_BYTES || fread(frame, 1, head[0], stdin) != head[0]) {
			fprintf(stderr, "packet_send: a frame is cut off\n");
			exit(1);
		}
		if (is_tun)
			write_times(fd, frame, head[0], head[1]);
		else
			send_times(fd, frame, head[0], head[1]);
	}
}

/* UDP over IPv4; the flow is the source: 10.x.y.z and the port. */
static void write_flow(unsigned char *frame, uint32_t flow)
{
	static const unsigned char head[] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,			    /* Ethernet */
		0x45, 0, 0, FLOW_BYTES - 14, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 10, 255, 0, 1, /* IPv4 */
		0, 0, 0x30, 0x39, 0, FLOW_BYTES - 34, 0, 0,				    /* UDP, to port 12345 */
	};
	const uint32_t address = htonl(0x0a000000 | flow >> 8);
	const uint16_t port = htons((uint16_t)(1024 + (flow & 0xff)));

	memcpy(frame, head, sizeof(head));
	memcpy(frame + 26, &address, sizeof(address));
	memcpy(frame + 34, &port, sizeof(port));
}

/* Flows from 0 on, again and again; until `count` frames, or until `end_ms`. */
static void send_flows(int fd, uint64_t count, uint32_t flows, uint64_t end_ms)
{
	static unsigned char frames[AT_ONCE][FLOW_BYTES];
	struct iovec parts[AT_ONCE];
	struct mmsghdr messages[AT_ONCE];

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < AT_ONCE; i++) {
		parts[i] = (struct iovec){frames[i], FLOW_BYTES};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	for (uint64_t next = 0; next < count && now_ms() < end_ms;) {
		unsigned int filled = 0;

		for (; filled < AT_ONCE && next < count; filled++, next++)
			write_flow(frames[filled], (uint32_t)(next % flows));
		send_all(fd, messages, filled);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "frames") == 0) {
		send_frames(open_socket(argv[1]), 0);
	} else if (argc == 3 && strcmp(argv[2], "tun") == 0) {
		send_frames(open_tun(argv[1]), 1);
	} else if (argc == 4 && strcmp(argv[2], "flows") == 0) {
		const uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10);

		send_flows(open_socket(argv[1]), count, count, UINT64_MAX);
	} else if (argc == 5 && strcmp(argv[2], "flood") == 0) {
		const uint64_t end_ms = now_ms() + strtoull(argv[3], NULL, 10);

		send_flows(open_socket(argv[1]), UINT64_MAX, (uint32_t)strtoul(argv[4], NULL, 10), end_ms);
	} else {
		fprintf(stderr, "usage: packet_send INTERFACE frames | tun | flows COUNT | flood MS FLOWS\n");
		return 2;
	}
	printf("%llu %llu\n", frames_sent, bytes_sent);
	return 0;
}
