//! A disk that is full to its last byte.

use std::process::Command;

use crate::common::{Home, namespaces, text};

/// Lines of shell: `begin` starts a host whose directory is on the disk, and `status` is that of a
/// request.
const LINES: &str = r#"
set -eu
mkdir -p disk && mount -t tmpfs -o size=64m tmpfs disk
begin() {
    : >log
    "$APYFAL" serve --listen 127.0.0.1:0 --accelerator null 2>>log &
    host=$!
    trap 'kill -9 $host' EXIT
    until url=$(sed -n 's,.*listening on ,,p' log | head -n 1) && [ -n "$url" ]; do
        kill -0 $host || { cat log >&2; exit 1; }
        sleep 0.05
    done
}
end() { kill $host && wait $host || { cat log >&2; exit 1; }; }
fill() {
    head -c 70000000 /dev/zero >>disk/ballast || true
    while printf x >>disk/ballast; do :; done
} 2>/dev/null
status() { curl -s -o answer -w '%{http_code}' "$@"; }
expect() {
    wanted=$1; shift
    found=$(status "$@") && [ "$found" = "$wanted" ] ||
        { echo "$found and not $wanted: $*" >&2; cat answer log >&2; exit 1; }
}
eventually() {
    wanted=$1; shift
    until [ "$(status "$@")" = "$wanted" ]; do sleep 0.1; done
}
"#;

/// Everything that needs no room, while there is none and after.
const NO_ROOM: &str = r#"
begin
session=$(curl -sf -F 'request={"accelerator": "null"}' "$url/v2/sessions" | cut -d '"' -f 4)
jobs=$url/v2/sessions/$session/jobs
for id in first second third; do
    expect 200 -T empty -H "apyfal-request: {\"id\": \"$id\"}" "$jobs"
done
printf text >in
expect 200 -T in -H 'apyfal-request: {"id": "fourth"}' "$jobs"
expect 200 "$url/readyz"

fill
expect 503 "$url/readyz"
expect 200 "$url/healthz"
expect 507 -T in -H 'apyfal-request: {"id": "fifth"}' "$jobs"
# What is empty frees nothing.
expect 204 -X DELETE "$url/v2/jobs/first"
expect 404 "$url/v2/jobs/first"
fill
expect 204 -X DELETE "$url/v2/jobs/second"

kill -9 $host; wait $host 2>/dev/null || true
fill
begin
jobs=$url/v2/sessions/$session/jobs
expect 503 "$url/readyz"
expect 404 "$url/v2/jobs/second"
expect 200 "$url/v2/jobs/fourth/result" && [ "$(cat answer)" = text ]
expect 204 -X DELETE "$url/v2/jobs/third"
end
fill
begin
jobs=$url/v2/sessions/$session/jobs
expect 404 "$url/v2/jobs/third"

rm disk/ballast
eventually 200 "$url/readyz"
expect 200 -T in -H 'apyfal-request: {"id": "fifth"}' "$jobs"
[ "$(cat answer)" = text ]
"#;

/// A host that ends while its database has no room for what is in its log.
const LOG: &str = r#"
begin
note=$(head -c 30000 /dev/zero | tr '\0' x)
printf '{"accelerator": "null", "parameters": {"env": {"note": "%s"}}}' "$note" >large
curl -sf -H 'Content-Type: application/json' -d @large "$url/v2/sessions?[1-15]" >/dev/null
kill -9 $host; wait $host 2>/dev/null || true
fill
begin
end
begin
expect 200 "$url/v2/sessions" && grep -q '"count":15' answer
"#;

/// Data that is for a program, or for a start, and takes of what is left to others.
const DATA: &str = r#"
begin
session=$(curl -sf -F 'request={"accelerator": "looks"}' "$url/v2/sessions" | cut -d '"' -f 4)
jobs=$url/v2/sessions/$session/jobs
start="$url/v2/sessions -X POST -H apyfal-request:{\"accelerator\":\"hyperfire\"}"
left() { df --output=avail -B1 disk | tail -n 1; }
before=$(left)
head -c $((before - 6000000)) /dev/zero >fits
head -c $((before - 2000000)) /dev/zero >large
expect 200 -T fits "$jobs"
expect 507 -T large "$jobs" && grep -q 'the disk of the host is full' answer
expect 507 --data-binary @large $start && grep -q 'the disk of the host is full' answer
# Nothing of it stays, and others do not hear of it.
[ $(left) -gt $((before - 1000000)) ]
expect 200 -T fits "$jobs"
"#;

#[test]
fn data_for_a_program_or_a_start_leaves_room_to_others() {
    run(DATA);
}

#[test]
fn what_frees_room_needs_none_and_a_host_starts() {
    run(NO_ROOM);
}

#[test]
fn what_the_database_has_no_room_for_stays_in_its_log() {
    run(LOG);
}

fn run(lines: &str) {
    let Some(words) = namespaces::mounts() else { return };
    let home = Home::new();
    home.write("empty", "");
    let looks = r#"[accelerator.looks]
command = ["test", "-s", "{src}"]
"#;
    home.write("accelerator.conf", format!("[serve]\ndata_dir = disk/host\n{looks}"));
    let mut command = Command::new("unshare");
    command.args(words).args(["timeout", "110", "bash", "-c", &[LINES, lines].concat()]);
    command.current_dir(home.folder()).env("HOME", home.folder());
    command.env("APYFAL", env!("CARGO_BIN_EXE_apyfal"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
