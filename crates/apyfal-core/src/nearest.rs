//! "Did you mean": the known name that a wrong one is closest to.

/// Longer words are no slip of the pen: comparing two takes as long as their lengths multiplied.
const LONGEST: usize = 60;

/// The candidate closest to `word`, if one is close enough to be a likely slip.
///
/// Case, `-` and `_` do not count as differences, so `nbbytes` finds `nbBytes`.
///
/// ```
/// assert_eq!(apyfal_core::nearest("levle", ["level", "name"]), Some("level"));
/// assert_eq!(apyfal_core::nearest("colour", ["level", "name"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let fold = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let word = fold(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_length_are_answered_at_once() {
        // Compared they would take hours.
        let long = "x".repeat(15_000_000);
        assert_eq!(nearest(&long, ["level"; 100]), None);
        assert_eq!(nearest("level", vec![&*long; 100]), None);
        let longest = "a".repeat(LONGEST);
        assert_eq!(nearest(&longest.replacen('a', "b", 1), [&*longest]), Some(&*longest));
    }
}
