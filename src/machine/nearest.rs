//! What somebody may have meant who mistyped a word.

/// Levenshtein's distance, letters of either case being equal.
pub fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The nearest of `known`, unless it is so far away that nobody can have meant it: a third of its letters, at least 2.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(distance, known)| *distance <= (known.chars().count() / 3).max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, apart) in [
            ("", "", 0),
            ("", "abc", 3),
            ("Memory", "memory", 0),
            ("memroy", "memory", 2),
            ("cpu", "cpus", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), apart, "{left} {right}");
            assert_eq!(distance(right, left), apart, "{right} {left}");
        }
    }

    #[test]
    fn the_nearest_if_it_is_near() {
        let known = ["cpus", "memory", "disk_size", "import_native_ca"];
        assert_eq!(nearest("cpu", &known), Some("cpus"));
        assert_eq!(nearest("disksize", &known), Some("disk_size"));
        assert_eq!(
            nearest("import-native-ca", &known),
            Some("import_native_ca")
        );
        assert_eq!(nearest("volumes", &known), None);
    }
}
