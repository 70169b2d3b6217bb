//! Keys and signatures out of files, which are binary or armored, and may hold several.

use pgp::composed::Deserializable;
use pgp::errors::Error;

/// Reads all that is in a file. `begin` starts each armored block; a binary file is recognised by its first bit, which
/// is never set in text.
pub(super) fn read<T: Deserializable>(bytes: &[u8], begin: &str) -> Result<Vec<T>, Error> {
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return T::from_bytes_many(bytes)?.collect();
    }
    let mut all = Vec::new();
    for block in blocks(bytes, begin.as_bytes()) {
        let (found, _) = T::from_armor_many_buf(block)?;
        for item in found {
            all.push(item?);
        }
    }
    Ok(all)
}

/// The armored blocks, each up to the next one: the reader stops at the end of the first.
fn blocks<'a>(bytes: &'a [u8], begin: &[u8]) -> Vec<&'a [u8]> {
    let starts = bytes
        .windows(begin.len())
        .enumerate()
        .filter(|(_, window)| *window == begin);
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &bytes[start..end])
        .collect()
}
