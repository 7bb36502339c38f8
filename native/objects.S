/* The compiled BPF programs as bytes of the addon; CMakeLists.txt says where they are. */
	.macro embed name, file
	.balign 8
	.global \name\()_object_start
	.hidden \name\()_object_start
	.global \name\()_object_end
	.hidden \name\()_object_end
\name\()_object_start:
	.incbin "\file"
\name\()_object_end:
	.endm

	.section .rodata
	embed exec, exec.bpf.o
	embed exec_failed, exec_failed.bpf.o
	embed exit, exit.bpf.o
	embed packets, packets.bpf.o
	.section .note.GNU-stack, "", @progbits
