# Checks that every file includes only what its room may see. First it checks itself on planted violations.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)

# Room: what it may include with quotes ("x/" a folder, else a file; "!" takes away again), then with <> beyond the C
# library: the libraries that not everybody may see. The longest room that a file lies in counts.
rules() {
  cat <<'RULES'
include/:
base/: base/ retc.h
ir/: base/ ir/
runtime/: base/ runtime/ retc.h <jansson.h> <ffi.h>
runtime/tokenizer_sentencepiece.cc: base/ runtime/ <sentencepiece_processor.h>
backends/: base/ ir/ runtime/ backends/
backends/llvm/: base/ ir/ runtime/ backends/ <llvm-c/
compiler/: base/ ir/ runtime/ compiler/ !compiler/driver/ !compiler/main/ backends/target.h <jansson.h>
compiler/driver/: base/ ir/ runtime/ compiler/ backends/ retc.h
compiler/main/: base/ ir/ runtime/ compiler/ backends/ retc.h <jansson.h>
compiler/main/html/layout_graphviz.c: base/ ir/ runtime/ compiler/ <graphviz/
examples/: retc.h
RULES
}

# check ROOT: prints the violations, fails when there are any or nothing was looked at.
check() {
  (cd "$1" && find include base ir runtime backends compiler examples \
    -name '*.[ch]' -o -name '*.cc' -o -name '*.def') >"$work/files"
  rules | (cd "$1" && awk -v files="$work/files" '
    function covers(entry, name) { return entry ~ /\/$/ ? index(name, entry) == 1 : name == entry }
    function allowed(room, name,   n, entries, i, yes) {
      n = split(may[room], entries, " ")
      for (i = 1; i <= n; i++) {
        if (entries[i] ~ /^!/) { if (covers(substr(entries[i], 2), name)) yes = 0 }
        else if (covers(entries[i], name)) yes = 1
      }
      return yes
    }
    { room = $1; sub(/:$/, "", room); sub(/^[^ ]* ?/, ""); may[room] = $0 }
    END {
      while ((getline file < files) > 0) {
        best = ""
        for (room in may) if (index(file, room) == 1 && length(room) > length(best)) best = room
        looked++
        while ((getline line < file) > 0) {
          if (line !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) continue
          name = line
          sub(/^[^"<]*/, "", name)
          if (name ~ /^</) {
            sub(/>.*/, ">", name)
            if (name !~ /^<(llvm-c\/|jansson|ffi|hip|sentencepiece|graphviz)/) continue
            if (name ~ /^<llvm-c\//) name = "<llvm-c/"
            if (name ~ /^<graphviz\//) name = "<graphviz/"
          } else {
            name = substr(name, 2)
            sub(/".*/, "", name)
          }
          if (!allowed(best, name)) { print file ": " best " may not include " line; bad++ }
        }
        close(file)
      }
      if (!looked) print "no files found"
      exit bad || !looked
    }')
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plant() {
  planted=$work/planted
  rm -rf "$planted"
  mkdir -p "$planted/include" "$planted/base" "$planted/ir" "$planted/runtime" "$planted/backends/llvm" \
    "$planted/compiler/driver" "$planted/compiler/main" "$planted/examples"
  printf '%s\n' "#include $2" >"$planted/$1"
}
must_refuse() {
  plant "$1" "$2"
  if check "$planted" >/dev/null; then
    echo "FAILED: the check lets $1 include $2"
    exit 1
  fi
}
must_accept() {
  plant "$1" "$2"
  check "$planted" || { echo "FAILED: the check does not let $1 include $2"; exit 1; }
}
must_refuse base/a.c '"ir/graph.h"'
must_refuse base/a.h '"../ir/graph.h"'
must_refuse ir/a.c '"runtime/plan.h"'
must_refuse runtime/a.c '"ir/graph.h"'
must_refuse runtime/a.c '<llvm-c/Core.h>'
must_refuse backends/llvm/a.c '"compiler/pass.h"'
must_refuse compiler/a.c '"compiler/driver/engine.h"'
must_refuse compiler/a.c '"backends/llvm/llvm_backend.h"'
must_refuse compiler/main/a.c '<llvm-c/Core.h>'
must_refuse compiler/main/html.c '<graphviz/gvc.h>'
must_refuse runtime/tokenizer.c '<sentencepiece_processor.h>'
must_refuse runtime/a.cc '<sentencepiece_processor.h>'
must_refuse examples/a.c '"base/status.h"'
must_refuse include/retc.h '"base/status.h"'
must_accept compiler/a.c '"backends/target.h"'
must_accept compiler/driver/a.c '"backends/llvm/llvm_backend.h"'
must_accept backends/llvm/a.c '<llvm-c/Core.h>'
must_accept base/a.c '<stdio.h>'

check "$source"
