# xrt-smi of XRT, as it is documented, over files in $S.
note "$@"
verb=$1; shift
force=no
while [ $# -gt 0 ]; do
  case $1 in
  --device) slot=$2; shift ;; --report) report=$2; shift ;; --format) format=$2; shift ;;
  --output) output=$2; shift ;; --user) file=$2; shift ;; --force) force=yes ;; *) exit 1 ;;
  esac
  shift
done
case $verb in
examine)
  if [ -e "$output" ] || [ "$format" != JSON ]; then echo 'ERROR: output file' >&2; exit 1; fi
  if [ "$report" = host ]; then
    obey slots
    for slot in $SLOTS; do
      list="${list:+$list,}{\"bdf\":\"$slot\",\"vbnv\":\"xilinx_u200\",\"is_ready\":\"true\"}"
    done
    echo "{\"schema_version\":{\"schema\":\"JSON\"},\"system\":{\"host\":{\"devices\":[$list]}}}" >"$output"
  else
    obey describe
    uuid=$(cat "$S/slot-$slot" 2>/dev/null) && regions="[{\"id\":\"0\",\"xclbin_uuid\":\"$uuid\"}]"
    echo "{\"devices\":[{\"interface_type\":\"pcie\",\"device_id\":\"$slot\",\"device_status\":\"HEALTHY\",\"dynamic_regions\":${regions:-\"\"}}]}" >"$output"
  fi
  echo "Successfully wrote the JSON file: $output" ;;
program)
  uuid=$(od -An -tx1 -j416 -N16 "$file" | tr -d ' \n' |
    sed 's/\(........\)\(....\)\(....\)\(....\)/\1-\2-\3-\4-/' | tr a-f A-F)
  # What the card has already is not loaded again.
  if [ "$(cat "$S/slot-$slot" 2>/dev/null)" != "$uuid" ]; then
    echo 'DEADBEEF-0000-4000-8000-000000000000' >"$S/slot-$slot"
    obey load
    if [ -e "$S/wrong" ]; then uuid=$(cat "$S/wrong"); fi
    echo "$uuid" >"$S/slot-$slot"; rm -f "$S/used-$slot"
  fi
  echo "INFO: xbutil program succeeded on $slot" ;;
reset)
  if [ $force = no ]; then echo 'Action canceled.'; exit 1; fi
  # A reset that failed ends with 0 all the same.
  if [ -e "$S/fail-clear" ]; then cat "$S/fail-clear"; echo "Reset failed on Device[$slot]"; exit 0; fi
  obey clear
  rm -f "$S/slot-$slot" "$S/used-$slot"
  echo "Successfully reset Device[$slot]" ;;
*) exit 1 ;;
esac
