/* hold [ARGUMENT...]: stays until standard input ends, so that /proc can be asked about it. Static, as noop. */
#include <unistd.h>

int main(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
