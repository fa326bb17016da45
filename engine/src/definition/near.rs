//! "Did you mean": the known word that is nearest to an unknown one.

use strsim::damerau_levenshtein;

/// Words from other tools and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("name", "flow"),
    ("name", "id"),
    ("title", "description"),
    ("comment", "description"),
    ("type", "plugin"),
    ("kind", "plugin"),
    ("uses", "plugin"),
    ("input", "from"),
    ("inputs", "from"),
    ("source", "from"),
    ("needs", "from"),
    ("depends_on", "from"),
    ("settings", "config"),
    ("options", "config"),
    ("with", "config"),
    ("steps", "tasks"),
    ("nodes", "tasks"),
    ("parameters", "params"),
    ("variables", "params"),
    ("vars", "params"),
    ("guarantee", "delivery"),
    ("retries", "retry"),
];

/// The candidate that was probably meant by `word`, if any is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let lower = word.to_lowercase();
    if let Some(same) = candidates.iter().find(|candidate| normal(candidate) == normal(&lower)) {
        return Some(same);
    }
    let near = candidates
        .iter()
        .map(|candidate| (damerau_levenshtein(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= distance_max(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    near.or_else(|| {
        let means = |candidate: &&&str| SYNONYMS.contains(&(lower.as_str(), **candidate));
        candidates.iter().find(means).copied()
    })
}

/// One typing mistake in three letters; words of one or two letters are near to nothing.
fn distance_max(word: &str, candidate: &str) -> usize {
    (word.chars().count().max(candidate.chars().count()) / 3).min(4)
}

/// Without case, `_`, `-` and blanks.
fn normal(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
