# The page of dump --html, opened in Chromium: sh tests/html.sh PART
#   page     of the example model: stages, regions, values followed from the model down to the code
#   programs that are no RetNet, for both targets; a kernel without a plan
#   names    of a program whose names try to break out of the page
#   layers   of 24 layers: folded, and one below the other; its size
. "$(dirname "$0")/common.sh"
part=$1
command -v chromium >/dev/null || { echo "SKIPPED: no chromium to open the page with"; exit 77; }

# Graphviz keeps a few blocks of its own until the process ends.
printf 'leak:libgvc.so\nleak:libcgraph.so\n' >"$work/suppressions"
export LSAN_OPTIONS="suppressions=$work/suppressions:print_suppressions=0"

# look FILE FRAGMENT: the document as the page's script has made it, one element a line.
look() {
  HOME=$work timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/chromium" \
    --dump-dom "file://$1#$2" 2>"$work/chromium.log" | sed '/<script id="data"/,/<\/script>/d; s/</\n</g' >"$work/dom" ||
    fail "chromium: $(tail -n 5 "$work/chromium.log")"
  grep -q '^<html [^>]*data-ready="yes"' "$work/dom" || fail "$2: the script did not come to its end"
}
# has WHAT LEAST EXTENDED-REGEX: so many lines of the document at least.
has() {
  found=$(grep -cE -- "$3" "$work/dom") || :
  [ "$found" -ge "$2" ] || fail "$1: $found of at least $2 ($3)"
}
lacks() { ! grep -qE -- "$2" "$work/dom" || fail "$1: $(grep -E -m 1 -- "$2" "$work/dom" | cut -c 1-200)"; }
# Nothing that a browser would go and get, but for what a script or a style would be refused by the policy.
alone() {
  grep -qF "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"" "$1" ||
    fail "$1: the policy is missing"
  ! grep -nEi '\b(https?|ftp|wss?):|\bsrc=|\bhref=|url\([^#]|@import|fetch\(|XMLHttpRequest|sendBeacon|WebSocket' "$1" |
    cut -c 1-200 | grep . || fail "$1: something in it is elsewhere"
}
drawn() { ! grep -q '"graphviz":false' "$1"; }

case $part in
  page)
    model=$source/examples/shakespeare
    page=$work/page.html
    "$FAST" dump "$model" --html "$page" || fail "no page"
    alone "$page"
    first=$("$FAST" dump "$model" --after import | sed -n 's/^  %\([0-9]*\) = retention .*/\1/p' | sed -n 1p)
    second=$("$FAST" dump "$model" --after import | sed -n 's/^  %\([0-9]*\) = retention .*/\1/p' | sed -n 2p)

    look "$page" "stage=fuse&value=$first"
    has "stages" 10 '^<button [^>]*role="tab"'
    has "times" 8 '^<small>[0-9.]+ (µs|ms)'
    has "unchanged" 1 '^<small>[^<]*\(unchanged\)'
    has "places in every stage" 10 '^<span class="count"'
    has "the value in the text" 2 "^<span class=\"name on\" data-name=\"step/$first\""
    has "its line marked" 1 '^<code class="row( [a-z]+)* hit"'
    has "what is new" 10 '^<code class="row add'
    if drawn "$page"; then
      has "regions" 10 '^<g class="frame"'
      has "what was folded in" 1 '^<text class="quiet"[^>]*>state_update, cross_product, decay_mask'
      has "the value in the picture" 1 "^<g class=\"box on[^>]*data-name=\"step/$first\""
      has "edges" 50 '^<path class="edge'
    else
      has "that graphs are not drawn" 1 'built without Graphviz'
    fi

    # A value of the second layer, where kernels speak of the first one's.
    look "$page" "stage=math&value=$second"
    has "the statement in the kernel" 1 "^<span class=\"name on\" data-name=\"step/$first\""
    has "the kernel in the table" 1 '^<tr class="on"'
    has "costs" 15 '^<button type="button" class="mono" data-kernel='
    for stage in llvm assembly; do
      look "$page" "stage=$stage&value=$second"
      has "$stage: instructions" 5 '^<code class="row hit linked"'
      lacks "$stage: locations" '!dbg|!DILocation|\.loc\b|\.cfi_'
    done
    row=$(sed -n 's/^<code class="row hit linked"[^>]*\(data-statement="[0-9]*" data-kernel="[0-9]*"\).*/\1/p' "$work/dom" | sed -n 1p)
    [ -n "$row" ] || fail "no instruction has a statement"
    statement=${row#*\"} statement=${statement%%\"*} kernel=${row%\"} kernel=${kernel##*\"}
    kernel=$("$FAST" dump "$model" | sed -n "s/^kernel \([a-z_]*_$kernel\)(.*/\1/p")
    look "$page" "stage=assembly&statement=$kernel:$statement"
    has "instructions of a statement" 1 "^<code class=\"row statement linked\"[^>]*$row"

    look "$page" "stage=memory&call=prefill&theme=dark&value=$first"
    has "dark" 1 '^<html [^>]*data-theme="dark"'
    has "buffers in slots" 20 '^<g class="slot'
    has "the value in its slot" 1 "^<g class=\"slot on\"[^>]*data-name=\"step/$first\""
    ;;
  programs)
    for program in "$source"/examples/programs/*.graph; do
      for target in cpu hip; do
        page=$work/page.html
        "$FAST" dump "$program" --html "$page" --target $target || fail "$program: no page of $target"
        alone "$page"
      done
    done
    program=$source/examples/programs/mlp.graph
    "$FAST" dump "$program" --html "$work/page.html" --target hip
    look "$work/page.html" "stage=hip&value=product1"
    has "HIP: the product's statement" 1 '^<span class="name on" data-name="product1"'
    has "costs" 2 '^<button type="button" class="mono" data-kernel='
    "$FAST" dump "$program" --html "$work/page.html"
    look "$work/page.html" "stage=memory&value=hidden"
    has "its buffer" 1 '^<g class="slot on"'
    kernel=$("$FAST" dump "$program" | sed -n 's/^kernel \([a-z0-9_]*\)(.*/\1/p' | sed -n 1p)
    "$FAST" dump "$program" --only "$kernel" >"$work/one.kernel"
    "$FAST" dump "$work/one.kernel" --html "$work/page.html"
    look "$work/page.html" "stage=llvm&statement=$kernel:1"
    has "a kernel without a plan: its code" 1 '^<code class="row( statement)? linked"'
    ;;
  names)
    # A weight, an origin, a region and a graph that would be HTML if anybody let them.
    cat >"$work/program" <<'PROGRAM'
graph "</script><b id=broken>" {
  %"</script><script>document.title='broken'</script>" = input kind=weight : f32[8] @"<!--<script>"
  %"\"><img src=x onerror=\"document.title='broken'\">" = input kind=input : f32[B,8] @"]]>'\"&lt;"
  %0 = add %"\"><img src=x onerror=\"document.title='broken'\">", %"</script><script>document.title='broken'</script>" : f32[B,8] @"layers.0.</title>"
  output "<svg onload=document.title=1>" = %0
}
PROGRAM
    model=$work/"<b id=broken>&.graph"
    mv "$work/program" "$model"
    "$RETC" dump "$model" --html "$work/page.html" || fail "no page"
    [ "$(grep -c '</script' "$work/page.html")" = 2 ] || fail "a name ends a script"
    look "$work/page.html" "stage=import&value=%3C/script%3E%3Cscript%3Edocument.title='broken'%3C/script%3E"
    has "its title" 1 '^<title>&lt;b id=broken&gt;&amp;\.graph'
    lacks "elements made of names" '^<img|^<[a-z]+ id="?broken|^<[a-z]+ [^"]*onerror=|^<svg onload'
    has "the name as text" 1 '^<span class="name on"[^>]*>%"&lt;/script&gt;&lt;script&gt;document.title'
    ;;
  layers)
    page=$work/page.html
    "$FAST" dump "$source/tests/bench/configs/1.3b.json" --html "$page" || fail "no page"
    alone "$page"
    size=$(wc -c <"$page")
    [ "$size" -lt 5000000 ] || fail "$size bytes"
    look "$page" "stage=import"
    has "layers to choose from" 24 '^<option value="[0-9]+"[^>]*>[0-9]+ of 24'
    has "folded text" 1 '^<button class="fold"[^>]*>23 more layers'
    folded=$(grep -c '^<g class="box' "$work/dom") || :
    look "$page" "stage=import&layer=7"
    has "the text of layer 7" 10 '^<span class="name" data-name="model\.layers\.7\.'
    lacks "the text of layer 6" '^<span class="name" data-name="model\.layers\.6\.'
    look "$page" "stage=import&layer=all"
    lacks "folded text" '^<button class="fold"'
    if drawn "$page"; then
      has "one layer drawn" 20 '^<g class="box'
      [ "$folded" -lt 60 ] || fail "$folded boxes of a folded picture"
      has "24 layers drawn" 500 '^<g class="box'
    fi
    ;;
esac
