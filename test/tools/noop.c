/* noop [ARGUMENT...]: exits with 0. Static, so that an exec of it is one exec and little else. */
int main(void)
{
	return 0;
}
