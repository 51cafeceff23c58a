# Every row of the tables has its goldens, and they show what they are named for: sh tests/golden_rows.sh
#   compiler/fusions.def   tests/golden/fusions/ROW.test, where the fusion happens, and ROW-not.test, where it does not
#   compiler/passes.def    tests/golden/passes/ROW.test, where the pass has work, and ROW-not.test, where it has none
#   compiler/anchors.def   tests/golden/lowerings/ROW.test, the kernel that becomes of such a region
. "$(dirname "$0")/common.sh"
golden=$source/tests/golden
failed=

# rows FILE: the names in it.
rows() {
  names=$(sed -n 's/^RETC_[A-Z_]*(\([a-z_]*\),.*/\1/p' "$source/compiler/$1")
  [ -n "$names" ] || fail "no rows in $1"
  echo "$names"
}
want() {
  [ -f "$golden/$1.test" ] || failed="$failed [$1.test is missing]"
}
expected() { sed -n '/^--EXPECT/,$p' "$golden/$1.test"; }

names=$(rows fusions.def)
for row in $names; do
  want "fusions/$row"
  want "fusions/$row-not"
done
[ -z "$failed" ] || fail "$failed"
for row in $names; do
  expected "fusions/$row" | grep -Eq "folded=\[(.*, )?$row[],]" || failed="$failed [fusions/$row.test does not show it]"
  ! expected "fusions/$row-not" | grep -Eq "folded=\[(.*, )?$row[],]" || failed="$failed [fusions/$row-not.test shows it]"
done

names=$(rows passes.def)
for row in $names; do
  want "passes/$row"
  want "passes/$row-not"
done

names=$(rows anchors.def)
for row in $names; do want "lowerings/$row"; done
[ -z "$failed" ] || fail "$failed"
for row in $names; do
  expected "lowerings/$row" | grep -q "^kernel ${row}_" || failed="$failed [lowerings/$row.test shows no such kernel]"
done

# Goldens of rows that are no more.
for file in "$golden"/fusions/*.test "$golden"/passes/*.test "$golden"/lowerings/*.test; do
  row=$(basename "$file" .test)
  row=${row%-not}
  cat "$source/compiler/fusions.def" "$source/compiler/passes.def" "$source/compiler/anchors.def" |
    grep -q "^RETC_[A-Z_]*($row," || failed="$failed [$file: no such row]"
done
[ -z "$failed" ] || fail "$failed"
