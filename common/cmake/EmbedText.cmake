# cmake -D INPUT=page.html -D OUTPUT=page.cc -D HEADER=path/page.h -D CONSTANT=kPage -P EmbedText.cmake
# Writes C++ that defines `const std::string_view drover::CONSTANT`, declared in HEADER, as the text
# of the input.
file(READ ${INPUT} text)
if(text MATCHES "\\)embedded\"")
  message(FATAL_ERROR "${INPUT} contains )embedded\", which ends the literal it is put into")
endif()
file(WRITE ${OUTPUT} "// Made from ${INPUT} by EmbedText.cmake.\n#include \"${HEADER}\"\n\nnamespace drover {\n\n\
const std::string_view ${CONSTANT} = R\"embedded(${text})embedded\";\n\n}  // namespace drover\n")
