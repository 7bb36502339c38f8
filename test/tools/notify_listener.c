/* notify_listener SOCKET: takes what sd_notify sends and prints each message on a line, its own line ends as spaces. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char message[4096];
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (argc != 2 || fd < 0 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return 2;
	puts("listening");
	fflush(stdout);
	for (;;) {
		ssize_t bytes = recv(fd, message, sizeof(message) - 1, 0);

		if (bytes < 0)
			return 1;
		message[bytes] = '\0';
		for (char *at = message; *at; at++)
			if (*at == '\n')
				*at = ' ';
		puts(message);
		fflush(stdout);
	}
}
