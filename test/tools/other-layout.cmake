# Writes the BPF sources as a version could have them whose records differ: room in front of other fields, which moves them.
file(REMOVE_RECURSE ${TO})
file(COPY ${FROM}/ DESTINATION ${TO})

function(change file from to)
  file(READ ${TO}/${file} text)
  string(REPLACE "${from}" "${to}" changed "${text}")
  if(changed STREQUAL text)
    message(FATAL_ERROR "${file} has no ${from}")
  endif()
  file(WRITE ${TO}/${file} "${changed}")
endfunction()

change(abi.h "\t__u64 args_bytes;" "\t__u64 reserved_for_later;\n\t__u64 args_bytes;")
change(abi.h "\t__u64 user_ns;" "\t__u64 reserved_for_later;\n\t__u64 user_ns;")
