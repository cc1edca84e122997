# The AFI management tools of AWS, as they are documented, over files in $S.
case $(basename "$0") in
fpga-describe-local-image-slots)
  note; obey slots
  for slot in $SLOTS; do
    printf 'AFIDEVICE     %2s       0x1d0f      0x9048      0000:9f:0%s.0\n' "$slot" "$slot"
  done
  exit ;;
esac
verb=$(basename "$0"); verb=${verb#fpga-}; verb=${verb%-local-image}
note "$@"
prefetch=no
while getopts S:I:P option; do
  case $option in S) slot=$OPTARG ;; I) agfi=$OPTARG ;; P) prefetch=yes ;; *) exit 22 ;; esac
done
# The tools do not stand each other on one card.
if [ -e "$S/watch" ]; then
  mkdir "$S/busy-$slot" || echo "$verb" >>"$S/overlap"
  sleep 0.02
  trap 'rmdir "$S/busy-$slot"' EXIT
fi
show() {
  read -r image state <"$S/slot-$slot" 2>/dev/null || { image='No AFI'; state=cleared; }
  [ "$image" = none ] && image='No AFI'
  case $state in loaded) code=0 ;; cleared) code=1 ;; load-failed) code=7 ;; esac
  printf 'AFI           %2s       %-22s  %-8s         %2d        ok              0       0x10162423\n' "$slot" "$image" "$state" "$code"
  printf 'AFIDEVICE     %2s       0x1d0f      0x9048      0000:9f:0%s.0\n' "$slot" "$slot"
}
case $verb in
load)
  if [ $prefetch = yes ]; then obey prefetch; echo "$agfi" >>"$S/cached"; exit 0; fi
  echo "$agfi load-failed" >"$S/slot-$slot"
  obey load
  [ -e "$S/wrong" ] && agfi=$(cat "$S/wrong")
  echo "$agfi loaded" >"$S/slot-$slot"; rm -f "$S/used-$slot" ;;
clear) obey clear; echo 'none cleared' >"$S/slot-$slot"; rm -f "$S/used-$slot" ;;
describe) obey describe ;;
esac
show
