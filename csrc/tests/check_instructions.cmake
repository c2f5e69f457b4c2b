# cmake -DOBJDUMP=... -DOBJECTS=a.o;b.o -P: reads the machine code of the objects. Only the units of
# levels may hold instructions above the ABI's floor, and those of AMX must hold theirs.

set(wide "%[yz]mm|%k[0-7]|%tmm|\tv[a-z]+ ")
set(amx_int8.cc "tdpbssd" "tileloaddt1" "tileloadd " "tilestored" "ldtilecfg" "tilerelease")
set(amx_bfloat16.cc "tdpbf16ps" "tileloaddt1" "tileloadd " "tilestored" "ldtilecfg" "tilerelease")
set(avx512vnni.cc "vpdpbusd")
set(levels "/kernels/(amx|avx)[^/]*$")

function(check object)
  execute_process(COMMAND ${OBJDUMP} -d --no-show-raw-insn ${object}
    OUTPUT_VARIABLE code RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${OBJDUMP} could not read ${object}")
  endif()
  get_filename_component(name ${object} NAME)
  string(REGEX REPLACE "\\.o(bj)?$" "" name ${name})
  foreach(instruction IN LISTS ${name})
    if(NOT code MATCHES "${instruction}")
      message(SEND_ERROR "${name} has no instruction ${instruction}")
    endif()
  endforeach()
  if(NOT object MATCHES "${levels}" AND code MATCHES "\n[^\n]*(${wide})[^\n]*")
    message(SEND_ERROR "${name} has an instruction above the ABI's floor: ${CMAKE_MATCH_0}")
  endif()
endfunction()

list(LENGTH OBJECTS count)
if(count LESS 10)
  message(FATAL_ERROR "These cannot be all objects: ${OBJECTS}")
endif()
foreach(object IN LISTS OBJECTS)
  check(${object})
endforeach()
