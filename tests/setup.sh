# Installs what is missing of the Debian packages that retc is built with: sh tests/setup.sh [PACKAGE...]
# The packages named are wanted beside those that the program itself needs.
set -eu
wanted="gcc g++ libc6-dev make cmake pkg-config llvm-19-dev libffi-dev libjansson-dev libsentencepiece-dev libgraphviz-dev
  $*"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: this is not a Debian system; retc needs what these packages hold: $wanted" >&2
  exit 0
fi
missing=
for package in $wanted; do
  case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
    *" installed") ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null; then
  as_root=sudo
else
  echo "setup: missing packages, and neither root nor sudo to install them; run: apt-get install$missing" >&2
  exit 1
fi
echo "setup: installing$missing" >&2
$as_root apt-get update -q >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
