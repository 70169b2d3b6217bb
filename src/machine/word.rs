//! Words for the choices of a machine, the same in its file, on the command line and in messages.

/// A choice among few, each with a word.
pub trait Word: Copy + 'static {
    /// All of them, the default first.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;

    /// What a word stands for; the error lists those that there are.
    fn from_word(word: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|it| it.word() == word);
        known.ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|it| it.word()).collect();
            let list = match words.split_last() {
                Some((last, others)) => format!("{} and {last}", others.join(", ")),
                None => String::new(),
            };
            format!("`{word}` is none of {list}")
        })
    }
}
