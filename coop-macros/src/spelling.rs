//! "did you mean": the known name nearest to what was written.

/// The entry of `known` that `written` most likely stands for, or `None` when nothing is near.
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(written, name), *name))
        // A third of the letters may be wrong: more than that suggests `as` for every two-letter word.
        .filter(|(distance, name)| *distance <= name.len().max(written.len()).div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, with a swap of two neighbours counted as one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = a[i - 1] == b[j - 1];
                let mut best =
                    (table[i - 1][j] + 1).min(table[i][j - 1] + 1).min(table[i - 1][j - 1] + usize::from(!same));
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const OPTIONS: &[&str] = &["name", "stack", "as", "crate", "allow", "warn", "deny"];

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(nearest("stak", OPTIONS), Some("stack"));
        assert_eq!(nearest("satck", OPTIONS), Some("stack"));
        assert_eq!(nearest("names", OPTIONS), Some("name"));
        assert_eq!(nearest("crat", OPTIONS), Some("crate"));
    }

    #[test]
    fn a_different_word_gets_no_guess() {
        assert_eq!(nearest("priority", OPTIONS), None);
        assert_eq!(nearest("x", OPTIONS), None);
    }
}
