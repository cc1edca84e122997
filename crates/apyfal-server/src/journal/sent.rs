//! What clients sent, as far as it is recorded. Nobody needs it but who looks at the lists, and a
//! request may have megabytes.

use serde_json::Value;

/// How much is recorded of a request, in bytes.
const ROOM: usize = 4 << 10;
/// What any value takes beside its text.
const OVERHEAD: usize = 8;

/// Leaves out what there is no room for: long texts and names first, and of many values the last.
pub(super) fn recordable(mut sent: Value) -> Value {
    let mut room = ROOM;
    if fits(&mut sent, &mut room) { sent } else { Value::Null }
}

fn fits(value: &mut Value, room: &mut usize) -> bool {
    let text = value.as_str().map_or(0, str::len);
    if !take(OVERHEAD + text, room) {
        return false;
    }
    match value {
        Value::Array(values) => values.retain_mut(|value| fits(value, room)),
        Value::Object(map) => map.retain(|name, value| take(name.len(), room) && fits(value, room)),
        _ => {}
    }
    true
}

fn take(bytes: usize, room: &mut usize) -> bool {
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(*room);
    left.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_and_the_rest_stays() {
        let long = "x".repeat(ROOM);
        let sent = json!({"a": 1, "b": {"level": "fast", "text": long}, "c": [long, 2]});
        assert_eq!(recordable(sent), json!({"a": 1, "b": {"level": "fast"}, "c": [2]}));
        let mut named = json!({"id": "x"});
        named[&long] = json!(1);
        assert_eq!(recordable(named), json!({"id": "x"}));
        assert_eq!(recordable(json!(long)), Value::Null);
        let many = recordable(json!(vec![1; ROOM]));
        assert!(many.to_string().len() < ROOM);
    }
}
