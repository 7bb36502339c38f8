/* The compiled BPF programs as bytes of the addon. EXEC_OBJECT is given by CMakeLists.txt. */
	.section .rodata
	.balign 8
	.global exec_object_start
	.hidden exec_object_start
	.global exec_object_end
	.hidden exec_object_end
exec_object_start:
	.incbin EXEC_OBJECT
exec_object_end:
	.section .note.GNU-stack, "", @progbits
