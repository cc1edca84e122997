//! "Did you mean": the known name that a wrong one is closest to.

/// The candidate closest to `word`, if one is close enough to be a likely slip.
///
/// Case, `-` and `_` do not count as differences, so `nbbytes` finds `nbBytes`.
///
/// ```
/// assert_eq!(apyfal_core::nearest("levle", ["level", "name"]), Some("level"));
/// assert_eq!(apyfal_core::nearest("colour", ["level", "name"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let word = fold(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
