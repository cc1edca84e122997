# fpgainfo and fpgaconf of OPAE, as they are documented, over files in $S.
note "$@"
case $(basename "$0") in
fpgainfo)
  [ "$1" = port ] || exit 1
  obey slots; obey describe
  for slot in $SLOTS; do
    echo '//****** PORT ******//'
    printf '%-32s : %s\n' Interface DFL 'PCIe s:b:d.f' "$(echo "$slot" | tr a-f A-F)" 'Device Id' 0x0B2B
    if [ -e "$S/slot-$slot" ]; then printf '%-32s : %s\n' 'Accelerator GUID' "$(cat "$S/slot-$slot")"; fi
  done ;;
fpgaconf)
  while getopts B:D:F: option; do
    case $option in B) bus=${OPTARG#0x} ;; D) device=${OPTARG#0x} ;; F) function=${OPTARG#0x} ;; *) exit 1 ;; esac
  done
  shift $((OPTIND - 1))
  slot="0000:$bus:$device.$function"
  echo 'deadbeef-0000-4000-8000-000000000000' >"$S/slot-$slot"
  obey load
  uuid=$(tail -c +21 "$1" | sed 's/.*"accelerator-type-uuid": *"\([^"]*\)".*/\1/' | head -n 1)
  if [ -e "$S/wrong" ]; then uuid=$(cat "$S/wrong"); fi
  echo "$uuid" >"$S/slot-$slot"; rm -f "$S/used-$slot" ;;
esac
